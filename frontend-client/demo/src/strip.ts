//! Owns the strip that tells the connection's truth: status, latency, seq, sent and confirmed, resumed, lost, doubled.
//! Called by main.ts with the room's session.

import { $, say } from "../../shared/dom";
import type { Session } from "./session";

export const CUT_MS = 5000;

export class Strip {
  #session: Session | undefined;

  constructor(cutFor: () => number) {
    setInterval(() => this.#session && this.show(this.#session, cutFor()), 200);
  }

  enter(session: Session): void {
    this.#session = session;
    session.on("status", () => this.show(session, 0));
  }

  leave(): void {
    this.#session = undefined;
  }

  show(session: Session, cutFor: number): void {
    const { status, ledger } = session;
    $("status").dataset.status = cutFor > 0 ? "cut" : status;
    say($("status-words"), cutFor > 0 ? `cut for ${Math.ceil(cutFor / 1000)} s` : (WORDS[status] ?? status));
    $("status").title = session.why;
    $("status").dataset.why = session.why;
    say(
      $("latency"),
      status === "online" && session.latency !== null ? `${Math.max(1, Math.round(session.latency))} ms` : "–",
    );
    say($("seq"), String(ledger.seq));
    say($("sent"), String(session.sent));
    say($("confirmed"), String(session.confirmed));
    say($("resumed"), `${session.resumed}×`);
    for (const name of ["lost", "doubled"] as const) {
      say($(name), String(session[name]));
      $(name).dataset.bad = String(session[name] > 0);
    }
    $("confirmed").dataset.behind = String(session.confirmed < session.sent);
    $<HTMLButtonElement>("cut").disabled = cutFor > 0 || status === "closed";
  }
}

const WORDS: Record<string, string> = {
  connecting: "connecting",
  online: "online",
  reconnecting: "reconnecting",
  closed: "closed",
};
