//! Owns what a room is for an application: its events, what can be read and what can be done.
//! Implemented by `room`; exported by `index`.

import type { Handler } from "./emitter.js";
import type { InnkeeperError } from "./error.js";
import type { StorageLike } from "./memory.js";
import type {
  Counters,
  Json,
  Message,
  MergePatch,
  Outgoing,
  Patch,
  PatchOptions,
  PlayerStatus,
  Presence,
  Receipt,
  Resumed,
  SendOptions,
  Status,
  StatusChange,
  Volatile,
} from "./types.js";

/** `S`, `M` and `V` are the application's own types of the state, of messages and of volatile values. */
export interface RoomEvents<S = Json, M = Json, V = Json> {
  /** A message of the log. */
  message: Message<M>;
  /** A change of the state; `room.state` has it already. */
  patch: Patch;
  presence: Presence;
  /** Who is there now: after each change, and with each welcome. */
  players: ReadonlyMap<string, PlayerStatus>;
  /** A value that only matters while it is new (`room.volatile`). */
  volatile: Volatile<V>;
  /** The state as it is now: after each patch, and when a welcome brought another one. */
  state: S;
  status: StatusChange;
  /** The server refused something that no promise waits for, or the token function failed. */
  error: InnkeeperError;
  /** Back again; what was missed follows. */
  resumed: Resumed;
}

export interface Room<S = Json, M = Json, V = Json> {
  readonly game: string;
  readonly player: string;
  /** Known from the first welcome on. */
  readonly role: "player" | "spectator" | undefined;
  readonly status: Status;
  /** Why it is not online. */
  readonly reason: InnkeeperError | undefined;
  /** The last round trip in ms, as the heartbeat measured it. */
  readonly latency: number | undefined;
  /** The newest event that was seen. */
  readonly seq: number;
  /** Never changed in place: what differs is another object. Before the first patch it is `{}`, or what the rules made. */
  readonly state: S;
  /** Never changed in place: each change makes another map. */
  readonly players: ReadonlyMap<string, PlayerStatus>;
  /** Display names by player, with the option `names`; who gave none is not in it. Never changed in place. */
  readonly names: ReadonlyMap<string, string>;
  /** In a big room `players` is empty, and this is all there is. */
  readonly playerCount: number;
  readonly counters: Readonly<Counters>;
  /** Messages and patches that are not confirmed yet. */
  readonly pending: number;
  /** Returns what takes the handler away again. */
  on<K extends keyof RoomEvents<S, M, V>>(event: K, handler: Handler<RoomEvents<S, M, V>[K]>): () => void;
  /** Resolves when the message is in the log; rejects with an `InnkeeperError` (or the signal's reason). */
  send(data: Outgoing<M>, options?: SendOptions): Promise<Receipt>;
  /** Merges into the state (RFC 7396); otherwise as `send`. */
  patch(patch: MergePatch<S>, options?: PatchOptions): Promise<Receipt>;
  /**
   * For cursors and positions: seen by whoever is there now, or not at all. They are paced: of each name the newest is
   * sent. `false`: it was dropped, since there is no connection or it is congested.
   */
  volatile(name: string, data: Outgoing<V>, options?: { to?: string[] | undefined }): boolean;
  /** Gives the seat up, after what was sent before. Without a connection it is only left behind. */
  leave(): Promise<void>;
  /**
   * Ends the connection and keeps the seat: the others see `away`, and the server keeps it for its grace. The next
   * client for it in this page, or with the same `storage`, goes on where this one was.
   */
  close(): void;
}

export interface RoomOptions {
  game: string;
  player: string;
  /** Watch only; a token's role counts for more. */
  spectate: boolean | undefined;
  name: string | undefined;
  names: boolean | undefined;
  storage: StorageLike | undefined;
  queueLimit: number;
  messageRate: number;
}

export type Join<S = Json, M = Json, V = Json> = (options?: {
  signal?: AbortSignal | undefined;
}) => Promise<Room<S, M, V>>;
