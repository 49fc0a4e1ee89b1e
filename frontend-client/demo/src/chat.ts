//! Owns the chat: what people say, who comes and goes, what is written while the line is cut.
//! Called by main.ts with the room's session. A line is `{"chat":text,"i":mark}`.

import { $, h, isObject, store } from "../../shared/dom";
import { face } from "./people";
import type { Session } from "./session";

const ROWS = 300;
const KEPT = 100;
const COMINGS: Record<string, string> = { joined: "joined", away: "lost the line; the seat is kept", back: "is back", left: "left" };
const MINE: Record<string, string> = { joined: "You are in.", away: "You lost the line; your seat was kept.", back: "You are back." };
const LEAVINGS: Record<string, string> = { leave: "left", timeout: "did not come back in time", kicked: "was asked to leave" };

interface Kept { from: string; text: string; seq: number }

export class Chat {
  #session: Session | undefined;
  #kept: Kept[] = [];
  #follows = true;

  constructor() {
    const log = $("log");
    log.addEventListener("scroll", () => { this.#follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60; }, { passive: true });
    new ResizeObserver(() => { if (this.#follows) log.scrollTop = log.scrollHeight; }).observe(log);
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = $<HTMLInputElement>("text"), text = input.value.trim();
      if (!text || !this.#session) return;
      input.value = "";
      this.#say(this.#session, text);
    });
  }

  enter(session: Session): void {
    this.#session = session;
    $("log").replaceChildren();
    this.#restore(session);
    session.on("message", ({ from, data, seq }) => {
      if (!isObject(data) || typeof data.chat !== "string") return;
      this.#line(from, data.chat, seq);
      this.#keep(session, { from, text: data.chat, seq });
    });
    session.on("presence", ({ player, status, reason }) => {
      const words = (reason && LEAVINGS[reason]) || COMINGS[status] || status, mine = player === session.player ? MINE[status] : undefined;
      this.note(mine ?? `${player} ${words}`, "presence");
    });
  }

  leave(): void { this.#session = undefined; }

  note(text: string, kind: string): void { this.#add(h("div", { class: `note ${kind}`, data: { kind } }, text)); }

  #say(session: Session, text: string): void {
    const row = this.#row(session.player, text);
    row.classList.add("pending");
    row.append(h("span", { class: "unseen" }, "not confirmed yet"));
    this.#add(row);
    $("log").scrollTop = $("log").scrollHeight;
    // The room's copy is the line; what was written while it was on its way only holds its place.
    session.sendMarked((mark) => ({ chat: text, i: mark })).then(() => row.remove(), (error: unknown) => {
      row.classList.replace("pending", "refused");
      row.append(h("span", { class: "why" }, session.explain(error)));
    });
  }

  #row(from: string, text: string): HTMLElement {
    const you = from === this.#session?.player;
    return h("div", { class: you ? "line you" : "line" }, face(from),
      h("span", { class: "who" }, you ? "you" : from === "@server" ? "the house" : from), h("span", { class: "body" }, text));
  }

  #line(from: string, text: string, seq: number): void {
    const row = this.#row(from, text);
    row.dataset.seq = String(seq);
    this.#add(row);
  }

  #add(row: HTMLElement): void {
    const log = $("log");
    log.insertBefore(row, row.classList.contains("pending") ? null : log.querySelector(".pending"));
    while (log.childElementCount > ROWS) log.firstElementChild!.remove();
    if (this.#follows) log.scrollTop = log.scrollHeight;
  }

  /** A reloaded page resumes behind what it has seen: the lines before are its own to remember. */
  #keep(session: Session, line: Kept): void {
    this.#kept.push(line);
    if (this.#kept.length > KEPT) this.#kept.shift();
    store.set(this.#key(session), JSON.stringify(this.#kept));
  }

  #restore(session: Session): void {
    this.#kept = [];
    // No session was resumed: what an earlier visit of this tab left is not part of this one.
    if (session.resumed === 0) { store.set(this.#key(session), null); return; }
    try { this.#kept = (JSON.parse(store.get(this.#key(session)) ?? "[]") as Kept[]).slice(-KEPT); } catch { /* not ours */ }
    for (const { from, text, seq } of this.#kept) this.#line(from, text, seq);
  }

  #key(session: Session): string { return `innkeeper chat ${session.game} ${session.player}`; }
}
