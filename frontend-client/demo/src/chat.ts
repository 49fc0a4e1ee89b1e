//! Owns the chat: what people say, who comes and goes, what is written while the line is cut.
//! Called by main.ts with the room's session. What one says is `{"chat":text,"i":mark}`; the server keeps the last lines in the room's state.

import { $, h, isObject } from "../../shared/dom";
import { face } from "./people";
import type { Session } from "./session";

const ROWS = 300;
const COMINGS: Record<string, string> = {
  joined: "joined",
  away: "lost the line; the seat is kept",
  back: "is back",
  left: "left",
};
const MINE: Record<string, string> = {
  joined: "You are in.",
  away: "You lost the line; your seat was kept.",
  back: "You are back.",
};
const LEAVINGS: Record<string, string> = {
  leave: "left",
  timeout: "did not come back in time",
  kicked: "was asked to leave",
};

interface Line {
  key: string;
  from: string;
  text: string;
}

/** The lines of a state document in their order; what is none, is left out. */
function read(state: unknown): Line[] {
  const chat = isObject(state) && isObject(state.chat) ? state.chat : {};
  return Object.keys(chat)
    .sort()
    .flatMap((key) => {
      const line = chat[key];
      return isObject(line) && typeof line.from === "string" && typeof line.text === "string"
        ? [{ key, from: line.from, text: line.text }]
        : [];
    });
}

export class Chat {
  #session: Session | undefined;
  /** The newest line that is shown. */
  #last = "";
  #follows = true;

  constructor() {
    const log = $("log");
    log.addEventListener(
      "scroll",
      () => {
        this.#follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
      },
      { passive: true },
    );
    new ResizeObserver(() => {
      if (this.#follows) log.scrollTop = log.scrollHeight;
    }).observe(log);
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = $<HTMLInputElement>("text"),
        text = input.value.trim();
      if (!text || !this.#session) return;
      input.value = "";
      this.#say(this.#session, text);
    });
  }

  enter(session: Session): void {
    this.#session = session;
    $("log").replaceChildren();
    this.#last = "";
    this.#catchUp(session);
    session.on("state", () => this.#catchUp(session));
    // Another room under the same name counts its lines anew.
    session.on("resumed", ({ verdict }) => {
      if (verdict === "reset") this.#last = "";
    });
    // The rules keep what people say; what a back end says, and all of it where there are no rules, is only a message.
    session.on("message", ({ from, data }) => {
      if ((from === "@server" || !session.hasRules) && isObject(data) && typeof data.chat === "string")
        this.#add(this.#row(from, data.chat));
    });
    session.on("presence", ({ player, status, reason, name }) => {
      const words = (reason && LEAVINGS[reason]) || COMINGS[status] || status,
        mine = player === session.player ? MINE[status] : undefined;
      this.note(mine ?? `${name ?? session.called(player)} ${words}`, "presence");
    });
  }

  leave(): void {
    this.#session = undefined;
  }

  note(text: string, kind: string): void {
    this.#add(h("div", { class: `note ${kind}`, data: { kind } }, text));
  }

  #say(session: Session, text: string): void {
    const row = this.#row(session.player, text);
    row.classList.add("pending");
    row.append(h("span", { class: "unseen" }, "not confirmed yet"));
    this.#add(row);
    $("log").scrollTop = $("log").scrollHeight;
    // The room's copy is the line; what was written while it was on its way only holds its place.
    session
      .sendMarked((mark) => ({ chat: text, i: mark }))
      .then(
        () => row.remove(),
        (error: unknown) => {
          row.classList.replace("pending", "refused");
          row.append(h("span", { class: "why" }, session.explain(error)));
        },
      );
  }

  #row(from: string, text: string): HTMLElement {
    const you = from === this.#session?.player,
      name = this.#session?.called(from) ?? from;
    return h(
      "div",
      { class: you ? "line you" : "line" },
      face(from, name),
      h("span", { class: "who" }, you ? "you" : from === "@server" ? "the house" : name),
      h("span", { class: "body" }, text),
    );
  }

  #catchUp(session: Session): void {
    for (const { key, from, text } of read(session.state)) {
      if (key <= this.#last) continue;
      this.#last = key;
      const row = this.#row(from, text);
      row.dataset.key = key;
      this.#add(row);
    }
  }

  #add(row: HTMLElement): void {
    const log = $("log");
    log.insertBefore(row, row.classList.contains("pending") ? null : log.querySelector(".pending"));
    while (log.childElementCount > ROWS) log.firstElementChild!.remove();
    if (this.#follows) log.scrollTop = log.scrollHeight;
  }
}
