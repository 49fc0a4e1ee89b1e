//! Owns the count of what was lost and what came twice, kept apart from the client library so that it can prove it wrong.
//! Called by session.ts with every event; strip.ts shows the numbers.

/** Rides in every chat line and stroke: [the sender's run, its place in that run from 1]. A run ends when a send is refused. */
export type Mark = [run: string, place: number];

export const isMark = (value: unknown): value is Mark =>
  Array.isArray(value) && typeof value[0] === "string" && Number.isSafeInteger(value[1]);

/**
 * Two independent witnesses: the room's `seq`, which may only rise, and each sender's own count, which rises by one.
 * A gap in `seq` proves nothing (private events), a gap in a sender's count does.
 */
export class Ledger {
  seq = 0;
  lost = 0;
  doubled = 0;
  #places = new Map<string, number>();

  /** What a welcome says: where this page stands, and what the server itself says is gone. */
  welcome(verdict: string, seq: number, lost?: readonly [number, number]): void {
    if (verdict === "continuous") return;
    this.#places.clear();
    if (lost) this.lost += lost[1] - lost[0] + 1;
    this.seq = verdict === "snapshot" && lost ? Math.max(this.seq, lost[1]) : seq;
  }

  event(seq: number, from: string, mark?: unknown): void {
    if (seq <= this.seq) {
      this.doubled += 1;
      return;
    }
    this.seq = seq;
    if (!isMark(mark)) return;
    const key = `${from}\n${mark[0]}`,
      before = this.#places.get(key),
      place = mark[1];
    if (before === undefined) {
      this.#remember(key, place);
      return;
    }
    if (place <= before) {
      this.doubled += 1;
      return;
    }
    this.lost += place - before - 1;
    this.#remember(key, place);
  }

  /** The oldest runs are forgotten: anybody may send marks, and this page stays open for days. */
  #remember(key: string, place: number): void {
    this.#places.delete(key);
    this.#places.set(key, place);
    if (this.#places.size > 2000) this.#places.delete(this.#places.keys().next().value!);
  }
}
