//! Owns a seat in a room: what was seen of the log, the state folded from it, who is there, and what is to be sent.
//! Made by `connect(…)`; the connection under it is `link`'s.

import { createEmitter, type Handler } from "./emitter.js";
import { InnkeeperError } from "./error.js";
import { createLink, type LinkOptions } from "./link.js";
import { createMemory, type StorageLike } from "./memory.js";
import { merge } from "./merge.js";
import { createOutbox } from "./outbox.js";
import type * as T from "./types.js";

export interface RoomEvents {
  /** A message of the log. */
  message: T.Message;
  /** A change of the state; `room.state` has it already. */
  patch: T.Patch;
  presence: T.Presence;
  /** A value that only matters while it is new (`room.volatile`). */
  volatile: T.Volatile;
  /** The state as it is now: after each patch, and when a welcome brought another one. */
  state: T.Json;
  status: T.StatusChange;
  /** The server refused something that no promise waits for, or the token function failed. */
  error: InnkeeperError;
  /** Back again; what was missed follows. */
  resumed: T.Resumed;
}

export interface Room {
  readonly game: string;
  readonly player: string;
  /** Known from the first welcome on. */
  readonly role: "player" | "spectator" | undefined;
  readonly status: T.Status;
  /** Why it is not online. */
  readonly reason: InnkeeperError | undefined;
  /** The last round trip in ms, as the heartbeat measured it. */
  readonly latency: number | undefined;
  /** The newest event that was seen. */
  readonly seq: number;
  /** Never changed in place: what differs is another object. */
  readonly state: T.Json;
  readonly players: ReadonlyMap<string, T.PlayerStatus>;
  /** In a big room `players` is empty, and this is all there is. */
  readonly playerCount: number;
  readonly counters: Readonly<T.Counters>;
  /** Messages and patches that are not confirmed yet. */
  readonly pending: number;
  /** Returns what takes the handler away again. */
  on<K extends keyof RoomEvents>(event: K, handler: Handler<RoomEvents[K]>): () => void;
  /** Resolves when the message is in the log; rejects with an `InnkeeperError` (or the signal's reason). */
  send(data: unknown, options?: T.SendOptions): Promise<T.Receipt>;
  /** Merges into the state (RFC 7396); otherwise as `send`. */
  patch(patch: object, options?: T.PatchOptions): Promise<T.Receipt>;
  /**
   * For cursors and positions: seen by whoever is there now, or not at all. `false`: there is no connection. These are
   * never held back, so keep to what eyes can see (30 a second): they count towards the server's MESSAGE_RATE, too.
   */
  volatile(name: string, data: unknown, options?: { to?: string[] | undefined }): boolean;
  /** Gives the seat up. Without a connection it is only left behind, and the server keeps it for its grace. */
  leave(): Promise<void>;
}

export interface RoomOptions {
  game: string;
  player: string;
  /** Watch only; a token's role counts for more. */
  spectate: boolean | undefined;
  storage: StorageLike | undefined;
  queueLimit: number;
  messageRate: number;
}

/** How long `leave` waits for the server. */
const LEAVE_MS = 2_000;

/** `base` is a ws or wss URL without a slash at its end. */
export function createRoom(base: string, options: RoomOptions, linkOptions: LinkOptions): Room & { join: Join } {
  const { game, player, spectate } = options;
  const { on, emit } = createEmitter<RoomEvents>();
  const address = `${base}/ws/${game}/${player}`;
  const counters: T.Counters = { seen: 0, sent: 0, confirmed: 0, resumed: 0, lost: 0, doubled: 0 };
  let session: string | undefined;
  let epoch = "";
  let seq = 0;
  let state: T.Json = {};
  // What a welcome brought is as of its seq: replayed events up to there are in it.
  let stateSeq = 0;
  let playersSeq = 0;
  let players = new Map<string, T.PlayerStatus>();
  let playerCount = 0;
  let role: Room["role"];
  let isJoined = false;
  // Frames that wait until whoever awaited `join()` had the time to add handlers.
  let held: (() => void)[] | undefined;
  let isLeaving = false;

  const memory = createMemory(options.storage, `innkeeper ${address}${spectate ? " spectator" : ""}`, () => ({
    session: session ?? "",
    epoch,
    seq,
    state,
  }));

  const link = createLink(linkOptions, {
    url() {
      const query = new URLSearchParams();
      if (session !== undefined) {
        query.set("session", session);
        query.set("seq", String(seq));
      }
      if (spectate) query.set("spectate", "1");
      return `${address}?${query}`;
    },
    mayOverlap: () => session !== undefined,
    welcome: (frame) => "session" in frame && welcomed(frame),
    frame(frame) {
      if (held) held.push(() => take(frame));
      else take(frame);
    },
    changed,
    failed: (error) => emit("error", error),
  });
  const outbox = createOutbox(
    { limit: options.queueLimit, rate: options.messageRate, write: link.send },
    () => counters.sent++,
  );

  function changed(): void {
    const { status, reason, retryInMs } = link;
    // The connection broke before the server answered: coming back would take the seat again.
    if (isLeaving && retryInMs !== undefined) return abandon();
    if (status === "closed") {
      release();
      // Somebody else has the seat, or nobody may have it: there is nothing to come back to.
      memory.close([1000, 4004, 4010].includes(reason?.closeCode ?? 0));
      outbox.close(reason as InnkeeperError);
    }
    emit("status", { status, reason, retryInMs });
  }

  function welcomed(welcome: T.Welcome): void {
    const isResume = session !== undefined;
    const isSameEpoch = welcome.epoch === epoch;
    const verdict = welcome.resume;
    let { lost } = welcome;
    // The seat was lost, but the log went on: everything since then is gone for this player.
    if (isResume && verdict === "new" && isSameEpoch && welcome.seq > seq) lost = [seq + 1, welcome.seq];
    ({ session, epoch, role } = welcome);
    players = new Map(Object.entries(welcome.players));
    playerCount = welcome.player_count ?? players.size;
    playersSeq = welcome.seq;
    if (verdict !== "continuous") {
      state = welcome.state ?? {};
      stateSeq = welcome.seq;
      seq = verdict === "snapshot" ? Math.max(seq, lost?.[1] ?? 0) : welcome.seq;
    }
    if (lost) counters.lost += lost[1] - lost[0] + 1;
    if (isResume) counters.resumed++;
    memory.touch();
    const announce = () => {
      if (isResume) emit("resumed", { verdict, reason: welcome.reason, lost });
      if (verdict !== "continuous") emit("state", state);
    };
    // Before any handler, which may want to send: ids only rise, so what is older goes first.
    outbox.welcomed(welcome, isSameEpoch);
    if (!isJoined) {
      isJoined = true;
      held = [announce];
      setTimeout(release, 0);
      changed();
    } else {
      changed();
      announce();
    }
  }

  function release(): void {
    const waiting = held ?? [];
    held = undefined;
    for (const deliver of waiting) deliver();
  }

  function abandon(): void {
    link.stop(new InnkeeperError("left", "the seat was given up", 1000));
  }

  /** Notes an event's place. `false`: it was seen before. */
  function isNews(at: number): boolean {
    if (at <= seq) {
      counters.doubled++;
      return false;
    }
    seq = at;
    counters.seen++;
    memory.touch();
    return true;
  }

  function confirm({ from, id, seq }: T.Message | T.Patch): void {
    if (from === player && id !== undefined && outbox.confirm(id, seq)) counters.confirmed++;
  }

  function take(frame: T.ServerFrame): void {
    switch (frame.type) {
      case "message":
        if ("volatile" in frame) return emit("volatile", frame);
        confirm(frame);
        if (isNews(frame.seq)) emit("message", frame);
        break;
      case "patch":
        confirm(frame);
        if (!isNews(frame.seq)) break;
        if (frame.seq > stateSeq) {
          state = merge(state, frame.patch);
          stateSeq = frame.seq;
        }
        emit("patch", frame);
        emit("state", state);
        break;
      case "presence":
        if ("count" in frame) {
          playerCount = frame.count;
        } else {
          if (!isNews(frame.seq)) break;
          if (frame.seq > playersSeq) {
            if (frame.status === "left") players.delete(frame.player);
            else players.set(frame.player, frame.status === "away" ? "away" : "joined");
            playerCount = players.size;
          }
        }
        emit("presence", frame);
        break;
      case "ack":
        if (outbox.confirm(frame.id, frame.seq)) counters.confirmed++;
        break;
      case "error": {
        const error = new InnkeeperError(frame.code, frame.message);
        if (frame.id === undefined || !outbox.refuse(frame.id, error)) emit("error", error);
      }
    }
  }

  async function post(frame: object, how: T.SendOptions): Promise<T.Receipt> {
    if (link.status === "closed") throw link.reason;
    if (role === "spectator") throw new InnkeeperError("forbidden", "a spectator only watches");
    return outbox.add(frame, how);
  }

  const join: Join = ({ signal } = {}) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const off = on("status", settle);
      const abort = () => {
        reject(signal?.reason);
        abandon();
      };
      signal?.addEventListener("abort", abort);
      function settle(): void {
        if (link.status !== "closed" && !isJoined) return;
        off();
        signal?.removeEventListener("abort", abort);
        if (link.status === "closed") reject(link.reason);
        else resolve(room);
      }
      if (!starting) {
        starting = true;
        const saved = memory.load();
        if (saved) ({ session, epoch, seq, state } = saved);
        link.start();
      }
      settle();
    });
  let starting = false;

  const room = {
    game,
    player,
    on,
    join,
    counters,
    get role() {
      return role;
    },
    get status() {
      return link.status;
    },
    get reason() {
      return link.reason;
    },
    get latency() {
      return link.latency;
    },
    get seq() {
      return seq;
    },
    get state() {
      return state;
    },
    get players() {
      return players;
    },
    get playerCount() {
      return playerCount;
    },
    get pending() {
      return outbox.size;
    },
    // `undefined` is nothing that JSON can say.
    send: (data: unknown, how: T.SendOptions = {}) => post({ type: "send", data: data ?? null, to: how.to }, how),
    patch: (patch: object, how: T.PatchOptions = {}) =>
      post({ type: "patch", patch, if_seq: how.ifSeq }, how),
    volatile(name: string, data: unknown, { to }: { to?: string[] | undefined } = {}) {
      const isSent = link.send(JSON.stringify({ type: "send", volatile: name, data: data ?? null, to }));
      if (isSent) outbox.spend();
      return isSent;
    },
    leave: () =>
      new Promise<void>((resolve) => {
        isLeaving = true;
        if (link.status === "closed") return resolve();
        let timer: ReturnType<typeof setTimeout> | undefined;
        on("status", ({ status }) => {
          if (status !== "closed") return;
          clearTimeout(timer);
          resolve();
        });
        // The server closes with 1000, after the answers to everything sent before.
        if (link.send({ type: "leave" })) timer = setTimeout(abandon, LEAVE_MS);
        else abandon();
      }),
  };
  return room;
}

export type Join = (options?: { signal?: AbortSignal }) => Promise<Room>;
