//! Owns one seat as the pages' parts see it: the client library's room, the ledger, and every end of it in words.
//! Made by main.ts; there is one for everything on the page.

import { connect, InnkeeperError, type Json, type Presence, type Room } from "@innkeeper/client";
import { isObject } from "../../shared/dom";
import { Ledger, type Mark } from "./ledger";
import { RULES } from "./names";
import { inWords } from "./words";
import type { Tokens } from "./tokens";
import type { Wire } from "./wire";

/** How to get in. `base` is the server's WebSocket origin. */
export interface Way {
  base: string;
  room: string;
  player: string;
  name: string;
  tokens: Tokens;
  wire: Wire;
}

interface Heard {
  message: { from: string; data: unknown; seq: number };
  presence: { player: string; status: string; reason?: string | undefined; name?: string | undefined };
  volatile: { from: string; name: string; data: unknown };
  state: unknown;
  status: string;
  resumed: { verdict: string; lost?: [number, number] | undefined; reason?: string | undefined };
  /** It keeps trying, and this is why it is not in yet. */
  trouble: string;
  /** It was online, and is no more. */
  lost: undefined;
  /** The server refused something that nobody waits for. */
  complaint: string;
  /** For good, and why. */
  closed: string;
}

export class Session {
  readonly ledger = new Ledger();
  /** Why it is not online. */
  why = "";
  #room: Room;
  #listeners = new Map<keyof Heard, ((value: never) => void)[]>();
  #run = "";
  #place = 0;
  #names = new Map<string, string>();
  #wasOnline = false;
  #over = false;

  constructor(private readonly way: Way) {
    this.#newRun();
    const client = connect(way.base, {
      game: RULES + way.room,
      player: way.player,
      name: way.name,
      names: true,
      WebSocket: way.wire.Socket,
      pingIntervalMs: 5000,
      pingTimeoutMs: 5000,
      backoffBaseMs: 400,
      backoffCapMs: 10_000,
      ...storage(),
      ...way.tokens.option,
    });
    this.#room = client.room;
    this.#listen(this.#room);
    this.join = async () => {
      await client.join();
      // Before the first event is handed out: here is where this page begins to count.
      this.ledger.welcome("new", this.#room.seq);
      this.#tell("status", this.status);
      this.#tell("state", this.state);
    };
  }

  /** Resolves with the first welcome; rejects once `closed` has said why. */
  readonly join: () => Promise<void>;

  get room() {
    return this.way.room;
  }
  get player() {
    return this.way.player;
  }
  /** Whether the server has the rules of this page for the room: GAME_LOGICS may leave them out. */
  get hasRules() {
    return isObject(this.state) && Array.isArray(this.state.board);
  }
  get state(): unknown {
    return this.#room.state;
  }
  get players() {
    return this.#room.players;
  }
  /** What a seat is called. */
  called(player: string): string {
    const name = this.#room.names.get(player);
    if (name === undefined) return this.#names.get(player) ?? player;
    // Kept for a while: what somebody said stands there when that person is gone.
    this.#names.delete(player);
    this.#names.set(player, name);
    if (this.#names.size > 500) this.#names.delete(this.#names.keys().next().value!);
    return name;
  }
  get count() {
    return this.#room.playerCount;
  }
  get latency() {
    return this.#room.latency ?? null;
  }
  get status() {
    return this.#room.status;
  }
  get online() {
    return this.#room.status === "online";
  }
  get confirmed() {
    return this.#room.counters.confirmed;
  }
  /** Handed over, confirmed or not: what waits for the line counts, too. */
  get sent() {
    return this.confirmed + this.#room.pending;
  }
  get resumed() {
    return this.#room.counters.resumed;
  }
  get doubled() {
    return this.ledger.doubled + this.#room.counters.doubled;
  }
  get lost() {
    return this.ledger.lost;
  }

  on<K extends keyof Heard>(event: K, listener: (value: Heard[K]) => void): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener as (value: never) => void]);
  }

  send(data: unknown): Promise<unknown> {
    return this.#room.send(data as Json);
  }
  patch(patch: Record<string, unknown>): Promise<unknown> {
    return this.#room.patch(patch as { [key: string]: Json });
  }
  /** The same with a mark in it, by which everybody's ledger sees whether it arrives, and once. */
  sendMarked(make: (mark: Mark) => Record<string, unknown>): Promise<unknown> {
    return this.#marked((mark) => this.send(make(mark)));
  }
  patchMarked(make: (mark: Mark) => Record<string, unknown>): Promise<unknown> {
    return this.#marked((mark) => this.patch(make(mark)));
  }
  volatile(name: string, data: unknown): void {
    this.#room.volatile(name, data as Json);
  }

  leave(): void {
    this.#over = true;
    void this.#room.leave();
  }

  explain(error: unknown): string {
    if (!(error instanceof InnkeeperError)) return String(error);
    // Of a server elsewhere a page does not even see that it was refused.
    const elsewhere = error.closeCode === 1006 && new URL(this.way.base).host !== location.host && this.#room.seq === 0;
    return `${inWords(error.code, error.closeCode, error.message)}${elsewhere ? ` Maybe it does not take pages from ${location.origin}.` : ""}`;
  }

  /** What was refused leaves a hole in the count, so that the count begins anew. */
  async #marked(send: (mark: Mark) => Promise<unknown>): Promise<unknown> {
    const run = this.#run;
    this.#place += 1;
    try {
      return await send([run, this.#place]);
    } catch (error) {
      if (run === this.#run) this.#newRun();
      throw error;
    }
  }

  #newRun(): void {
    this.#run = Math.random().toString(36).slice(2, 10);
    this.#place = 0;
  }

  #tell<K extends keyof Heard>(event: K, value: Heard[K]): void {
    if (this.#over && event !== "status") return;
    for (const listener of this.#listeners.get(event) ?? []) (listener as (value: Heard[K]) => void)(value);
  }

  #listen(room: Room): void {
    room.on("message", ({ seq, from, data }) => {
      this.ledger.event(seq, from, isObject(data) ? data.i : undefined);
      this.#tell("message", { from, data, seq });
    });
    room.on("patch", ({ seq, from, patch }) => this.ledger.event(seq, from, markOf(patch)));
    room.on("presence", (frame: Presence) => {
      if ("count" in frame) {
        this.#tell("status", this.status);
        return;
      }
      this.ledger.event(frame.seq, "");
      this.#tell("presence", frame);
    });
    room.on("volatile", ({ from, volatile, data }) => this.#tell("volatile", { from, name: volatile, data }));
    room.on("state", (state) => this.#tell("state", state));
    room.on("error", (error) => this.#tell("complaint", this.explain(error)));
    room.on("resumed", ({ verdict, lost, reason }) => {
      this.ledger.welcome(verdict, room.seq, lost);
      this.#tell("resumed", { verdict, lost, reason });
    });
    room.on("status", () => this.#changed(room));
  }

  #changed(room: Room): void {
    const { status, reason } = room;
    this.why = status === "online" || !reason ? "" : this.explain(reason);
    this.#tell("status", status);
    if (status === "online") this.#wasOnline = true;
    else if (status === "closed") this.#tell("closed", this.why);
    else if (reason) {
      if (this.#wasOnline) this.#tell("lost", undefined);
      this.#tell("trouble", this.why);
      this.#wasOnline = false;
    }
  }
}

/** The mark of the stroke in a patch. */
function markOf(patch: unknown): unknown {
  const strokes = isObject(patch) && isObject(patch.strokes) ? Object.values(patch.strokes) : [];
  return strokes.map((stroke) => (isObject(stroke) ? stroke.i : undefined)).find((mark) => mark !== undefined);
}

/** Reading it throws where a page may not store anything: then a reload begins anew. */
function storage(): { storage?: Storage } {
  try {
    return { storage: sessionStorage };
  } catch {
    return {};
  }
}
