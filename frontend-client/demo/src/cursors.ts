//! Owns the hands of the others (and one's own when it is moved by keys) above the board.
//! Called by board.ts.

import { h, icon } from "../../shared/dom";
import { hueOf } from "./names";
import { HEIGHT, WIDTH } from "./strokes";

/** A hand that says nothing for so long has gone; volatile messages are never repeated. */
const STALE_MS = 20_000;

export class Cursors {
  #hands = new Map<string, { node: HTMLElement; at: number }>();

  constructor(private readonly layer: HTMLElement) {
    setInterval(
      () =>
        this.#hands.forEach(({ at }, who) => {
          if (performance.now() - at > STALE_MS) this.remove(who);
        }),
      5000,
    );
  }

  move(who: string, name: string, x: number, y: number): void {
    const hand = this.#hands.get(who) ?? this.#add(who, name);
    hand.at = performance.now();
    hand.node.style.left = `${(x / WIDTH) * 100}%`;
    hand.node.style.top = `${(y / HEIGHT) * 100}%`;
    hand.node.dataset.flip = String(x > WIDTH * 0.85);
  }

  remove(who: string): void {
    this.#hands.get(who)?.node.remove();
    this.#hands.delete(who);
  }

  clear(): void {
    for (const who of this.#hands.keys()) this.remove(who);
  }

  #add(who: string, name: string): { node: HTMLElement; at: number } {
    const node = h(
      "div",
      { class: "cursor", data: { player: who } },
      icon("M0 0l5 19 5-7 8-3z"),
      h("span", null, name),
    );
    node.style.setProperty("--hue", String(hueOf(who)));
    this.layer.append(node);
    const hand = { node, at: 0 };
    this.#hands.set(who, hand);
    return hand;
  }
}
