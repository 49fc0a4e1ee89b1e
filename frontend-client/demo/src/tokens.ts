//! Owns the player's token, and asks the person for a fresh one when it runs out.
//! Called by the client library before every connection and when the server says that a token expires.

import { $, say } from "../../shared/dom";

/** The server announces the end 30 s before. */
const SOON_MS = 31_000;

export class Tokens {
  #used = false;
  #asking: Promise<string> | undefined;

  constructor(
    private token: string,
    private readonly leave: () => void,
  ) {}

  /** Without a token there is nothing to refresh: the server's answer then ends it, and the door asks for one. */
  get option(): { token: () => string | Promise<string> } | Record<string, never> {
    return this.token ? { token: () => this.#fresh() } : {};
  }

  #fresh(): string | Promise<string> {
    if (this.#used && expiry(this.token) - Date.now() < SOON_MS) return this.#ask();
    this.#used = true;
    return this.token;
  }

  /** One question at a time, for both rooms. */
  #ask(): Promise<string> {
    this.#asking ??= new Promise<string>((resolve) => {
      const dialog = $<HTMLDialogElement>("ask-token"),
        input = $<HTMLInputElement>("fresh"),
        left = expiry(this.token) - Date.now();
      say(
        $("ask-why"),
        left > 0
          ? `Yours expires in ${Math.ceil(left / 1000)} s. With a new one you stay in the room.`
          : "Yours has expired. Your seat is kept for a minute; with a new token nothing is lost.",
      );
      input.value = "";
      dialog.returnValue = "";
      dialog.showModal();
      dialog.addEventListener(
        "close",
        () => {
          this.#asking = undefined;
          if (dialog.returnValue !== "go" || !input.value.trim()) {
            this.leave();
            return;
          }
          this.token = input.value.trim();
          resolve(this.token);
        },
        { once: true },
      );
    });
    return this.#asking;
  }
}

/** When a JWT ends, in Unix ms; what cannot be read is left to the server to judge. */
export function expiry(token: string): number {
  try {
    const claims = JSON.parse(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"))) as {
      exp?: unknown;
    };
    return typeof claims.exp === "number" ? claims.exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}
