//! Owns the door: a name, a room, and what is said to those who were not let in.
//! Called by main.ts.

import { $, icon, say } from "../../shared/dom";
import type { Wanted } from "./address";
import { nameOf, randomName, randomRoom } from "./names";

const DICE =
  "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM8 8h.01M16 8h.01M12 12h.01M8 16h.01M16 16h.01";

export class Door {
  constructor(
    private readonly wanted: Wanted,
    enter: (name: string, room: string, token: string) => void,
  ) {
    $("dice").append(icon(DICE));
    $("dice").addEventListener("click", () => {
      this.#name.value = randomName();
    });
    this.#name.value = wanted.name || randomName();
    this.#room.value = wanted.room || randomRoom();
    $<HTMLInputElement>("token").value = wanted.token;
    $("enter").addEventListener("submit", (event) => {
      event.preventDefault();
      enter(
        nameOf(this.#name.value) || randomName(),
        this.#room.value.trim(),
        $<HTMLInputElement>("token").value.trim(),
      );
    });
    $("room").addEventListener("input", () => this.#label());
    this.#label();
  }

  get #name() {
    return $<HTMLInputElement>("name");
  }
  get #room() {
    return $<HTMLInputElement>("room");
  }

  #label(): void {
    say($("go"), this.wanted.room && this.#room.value === this.wanted.room ? "Join the room" : "Open the room");
  }

  /** `why` is empty when somebody left of their own will. */
  show(why: string): void {
    $("door").hidden = false;
    this.refuse(why);
    if (/token/i.test(why)) {
      $<HTMLDetailsElement>("more").open = true;
      $("token").focus();
    } else this.#name.focus();
  }

  hide(): void {
    $("door").hidden = true;
  }

  refuse(why: string): void {
    $("refused").hidden = !why;
    say($("refused"), why);
  }
}
