//! Owns the types of what goes over the wire (docs/protocol.md, sections 3 and 6) and of what the library hands out.
//! Used by every other file; it holds no code.

import type { InnkeeperError } from "./error.js";

/** What a message or the state may hold: anything that JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type PlayerStatus = "joined" | "away";
export type PlayerEntry = PlayerStatus | { status: PlayerStatus; name?: string };
export type Verdict = "new" | "continuous" | "snapshot" | "reset";

/** What a client may send (3.1, 6). `id` is a positive integer up to 2^53-1 and only ever rises (S2). */
export type ClientFrame =
  | { type: "auth"; token?: string; session?: string; seq?: number }
  | { type: "send"; id?: number; data: Json; to?: string[] }
  | { type: "send"; volatile: string; data: Json; to?: string[] }
  | { type: "patch"; id?: number; patch: { [key: string]: Json }; if_seq?: number }
  | { type: "ping"; nonce?: Json }
  | { type: "pong" }
  | { type: "leave" }
  | { type: "subscribe"; topics: string[] }
  | { type: "unsubscribe"; topics: string[] }
  | { type: "publish"; id?: number; topic: string; data: Json };

/** The first frame in a room (R2). */
export interface Welcome {
  type: "welcome";
  protocol: number;
  game: string;
  player: string;
  role: "player" | "spectator";
  epoch: string;
  session: string;
  resume: Verdict;
  reason?: string;
  /** The first and the last `seq` that are gone. */
  lost?: [number, number];
  seq: number;
  last_id: number;
  /** Asked for with names (S11), each has its status and its name. */
  players: { [player: string]: PlayerEntry };
  /** In place of `players` in a room over the server's `PRESENCE_LIMIT` (S9). */
  player_count?: number;
  heartbeat: { interval_ms: number; timeout_ms: number };
  grace_ms: number;
  max_message_bytes: number;
  /** Absent when `resume` is `continuous`. */
  state?: Json;
}

/** A message of the room's log. `from` is `@server` for the back end and the game's rules. */
export interface Message<Data = Json> {
  type: "message";
  seq: number;
  from: string;
  id?: number;
  data: Data;
}

/** A value that only matters while it is new (S8): no `seq`, never stored, never replayed. */
export interface Volatile<Data = Json> {
  type: "message";
  from: string;
  volatile: string;
  data: Data;
}

/** A change of the room's state, merged by RFC 7396. */
export interface Patch {
  type: "patch";
  seq: number;
  from: string;
  id?: number;
  patch: { [key: string]: Json };
}

/**
 * Somebody came or went. In a big room there is only a count (S9); when it is small again, a count and everybody (S9a).
 */
export type Presence =
  | {
      type: "presence";
      seq: number;
      player: string;
      status: "joined" | "away" | "back" | "left";
      reason?: "leave" | "timeout" | "kicked";
      /** The display name, where names were asked for (S11). */
      name?: string;
    }
  | { type: "presence"; count: number; players?: { [player: string]: PlayerEntry } };

/** A hub's first frame. */
export interface HubWelcome {
  type: "welcome";
  protocol: number;
  hub: string;
  topics?: string[];
  heartbeat?: { interval_ms: number; timeout_ms: number };
}

/** A proxy's first frame, where it can be resumed (X1). */
export interface ProxyWelcome {
  type: "welcome";
  protocol: number;
  proxy: string;
  session: string;
  resume: Verdict;
  reason?: string;
  lost?: [number, number];
  /** The upstream's newest frame, and the number of the one that follows the welcome. */
  seq: number;
  next: number;
  /** How many data frames of the client's arrived. */
  last_id: number;
  resume_ms: number;
  max_message_bytes: number;
}

/** The state of a hub's upstream (H3). */
export interface FeedState {
  type: "feed";
  state: "connecting" | "live" | "stale" | "down";
  since?: number;
  attempt?: number;
}

/** Values between these times were missed by the hub itself (H4), in Unix ms. */
export interface Gap {
  type: "gap";
  topics: string[];
  from: number;
  to: number;
}

/** A topic's value. `snapshot`: the last known one, sent on subscribing. */
export interface Data {
  type: "data";
  topic: string;
  seq?: number;
  snapshot?: boolean;
  data: Json;
}

/** What a server may send (3.2, 6). Others are ignored. */
export type ServerFrame =
  | Welcome
  | Message
  | Volatile
  | Patch
  | Presence
  | { type: "ack"; id: number; seq: number | null }
  | { type: "ping"; time: number }
  | { type: "pong"; nonce?: Json; time: number }
  | { type: "published"; id: number; topic: string; seq: number }
  | { type: "error"; code: string; message: string; id?: number; topic?: string; retry_after_ms?: number }
  | { type: "token_expiring"; in_ms: number }
  | { type: "going_away"; code: number; reconnect_after_ms: number }
  | HubWelcome
  | { type: "subscribed"; topics: string[]; feed?: { state: FeedState["state"] } }
  | Data
  | FeedState
  | Gap;

/** `connecting` until the first welcome, `closed` for good. */
export type Status = "connecting" | "online" | "reconnecting" | "closed";

/** What `status` handlers get. */
export interface StatusChange {
  status: Status;
  /** Why it is not online; with `closed` after `leave()` its code is `left`. */
  reason?: InnkeeperError | undefined;
  /** How long until the next attempt; absent while one is under way. */
  retryInMs?: number | undefined;
}

/** What `resumed` handlers get, before anything that was missed arrives. */
export interface Resumed {
  /** `continuous`: everything missed follows. Anything else: `state` is new, and events may be gone. */
  verdict: Verdict;
  reason?: string | undefined;
  /** The first and the last `seq` that do not come, if it is known; some may not have been addressed to this player. */
  lost?: [number, number] | undefined;
}

/** What became of a message: `seq` is its place in the log, `null` when it is applied but that place is forgotten. */
export interface Receipt {
  seq: number | null;
}

/** Counted since the page was loaded. */
export interface Counters {
  /** Events with a `seq` that were handed out. */
  seen: number;
  /** Messages and patches that were written to a connection, each once. */
  sent: number;
  /** Those that the server confirmed. */
  confirmed: number;
  /** Connections after the first that the server welcomed. */
  resumed: number;
  /** `seq`s that a welcome named as gone; an upper bound, since some may have been private to others. */
  lost: number;
  /** Events that came twice; they were not handed out again. */
  doubled: number;
}

export interface SendOptions {
  /** Only these players (and the sender) see it. */
  to?: string[] | undefined;
  /** Milliseconds it may wait to be written; then it is rejected with `expired`, and was never sent. */
  ttl?: number | undefined;
  /** After a reconnect it is rejected with `stale` rather than written (again) if it is older than `ttl`; without a `ttl`, in any case. */
  dropIfStale?: boolean | undefined;
  /** Not written (again) once aborted. What was written already may still be applied. */
  signal?: AbortSignal | undefined;
}

export interface PatchOptions extends Omit<SendOptions, "to"> {
  /** Only if the state was last changed at this `seq` or earlier; else it is rejected with `conflict`. */
  ifSeq?: number | undefined;
}

/** A merge patch (RFC 7396) of a `T`: any part of it, and `null` for what is to be removed. */
export type MergePatch<T> = [Json] extends [T]
  ? object
  : T extends readonly unknown[]
    ? T
    : T extends object
      ? { [K in keyof T]?: MergePatch<T[K]> | null }
      : T;

/** What may be sent: without a type of the application's own, anything that JSON can say. */
export type Outgoing<T> = [Json] extends [T] ? unknown : T;
