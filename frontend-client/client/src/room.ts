//! Owns a seat in a room: what was seen of the log, the state folded from it, who is there, and what is to be sent.
//! Made by `connect(…)`; the connection under it is `link`'s.

import { duration, volatileName, whole } from "./check.js";
import { depart, isFree, predecessor } from "./departures.js";
import { createEmitter } from "./emitter.js";
import { InnkeeperError } from "./error.js";
import { createHold } from "./hold.js";
import { createLink, type LinkOptions } from "./link.js";
import { createMemory } from "./memory.js";
import { merge } from "./merge.js";
import { createOutbox } from "./outbox.js";
import type { Join, Room, RoomEvents, RoomOptions } from "./room-types.js";
import type * as T from "./types.js";
import { createVolatiles } from "./volatile.js";

/** How long `leave` waits for the server, once it is told; and for the way to it. */
const LEAVE_MS = 2_000;
const LEAVE_FIRST_MS = 10_000;

/** `base` is a ws or wss URL without a slash at its end. */
export function createRoom(base: string, options: RoomOptions, linkOptions: LinkOptions): Room & { join: Join } {
  const { game, player, spectate } = options;
  const emitter = createEmitter<RoomEvents>();
  const { emit } = emitter;
  // Volatile values, errors and the status are about now: nobody wants them late.
  const hold = createHold<RoomEvents>(emitter, "message");
  const on: typeof emitter.on = (event, handler) => {
    const off = emitter.on(event, handler);
    hold.added(event);
    return off;
  };
  const address = `${base}/ws/${game}/${player}`;
  const counters: T.Counters = { seen: 0, sent: 0, confirmed: 0, resumed: 0, lost: 0, doubled: 0 };
  let session: string | undefined;
  let epoch = "";
  let seq = 0;
  let state: T.Json = {};
  // What a welcome brought is as of its seq: replayed events up to there are in it.
  let stateSeq = 0;
  let playersSeq = 0;
  let players: ReadonlyMap<string, T.PlayerStatus> = new Map();
  let names: ReadonlyMap<string, string> = new Map();
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
      if (options.names) query.set("names", "1");
      if (options.name !== undefined) query.set("name", options.name);
      return `${address}?${query}`;
    },
    mayOverlap: () => session !== undefined,
    welcome: (frame) => "game" in frame && welcomed(frame),
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
  const volatiles = createVolatiles(outbox, link);

  function changed(): void {
    const { status, reason, retryInMs } = link;
    if (status !== "online") volatiles.clear();
    // The connection broke before the server answered: coming back would take the seat again.
    if (isLeaving && retryInMs !== undefined) return abandon();
    if (status === "closed") {
      release();
      // Forgotten is only what the server itself has ended. What it may still hold is needed to come back to it.
      const isEnded = [1000, 4004, 4010].includes(reason?.closeCode ?? 0);
      if (isEnded) isFree(address);
      memory.close(isEnded ? "forget" : reason?.code === "left" ? "pass" : "keep");
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
    list(welcome.players);
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
      if (isResume) hold.tell("resumed", { verdict, reason: welcome.reason, lost });
      if (verdict !== "continuous") hold.tell("state", state);
      hold.tell("players", players);
    };
    // Before any handler, which may want to send: ids only rise, so what is older goes first.
    outbox.welcomed(welcome, isSameEpoch);
    // Nobody waits for this room any more; the seat that it got by now is given back.
    if (isLeaving) return sayGoodbye();
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

  /** Not confirmed by the server, so without its close code: it may hold the seat for a while. */
  function abandon(): void {
    volatiles.clear();
    if (link.isBusy) depart(address, link.gone);
    link.stop(new InnkeeperError("left", "the room was left"));
  }

  let patience: ReturnType<typeof setTimeout> | undefined;

  /** Behind everything that was sent before. The server answers that, too, and closes with 1000. */
  function sayGoodbye(): void {
    outbox.whenWritten(() => {
      clearTimeout(patience);
      if (link.send({ type: "leave" })) patience = setTimeout(abandon, LEAVE_MS);
    });
  }

  function list(entries: { [player: string]: T.PlayerEntry }): void {
    const all = Object.entries(entries).map(
      ([who, entry]) => [who, typeof entry === "string" ? { status: entry } : entry] as const,
    );
    players = new Map(all.map(([who, { status }]) => [who, status]));
    names = new Map(all.flatMap(([who, { name }]) => (name === undefined ? [] : [[who, name]])));
  }

  /** Somebody came or went. */
  function note({ player: who, status, name }: Extract<T.Presence, { player: string }>): void {
    const [those, called] = [new Map(players), new Map(names)];
    if (status === "left") {
      those.delete(who);
      called.delete(who);
    } else {
      those.set(who, status === "away" ? "away" : "joined");
      if (name !== undefined) called.set(who, name);
    }
    players = those;
    names = called;
    playerCount = players.size;
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
        if (isNews(frame.seq)) hold.tell("message", frame, frame.data);
        break;
      case "patch":
        confirm(frame);
        if (!isNews(frame.seq)) break;
        if (frame.seq > stateSeq) {
          state = merge(state, frame.patch);
          stateSeq = frame.seq;
        }
        hold.tell("patch", frame, frame.patch);
        hold.tell("state", state);
        break;
      case "presence": {
        const before = players;
        if ("count" in frame) {
          // A crowd has no list, which would only grow old; once it is none any more, here is everybody (S9a).
          if (frame.players || players.size > 0) list(frame.players ?? {});
          playerCount = frame.count;
        } else {
          if (!isNews(frame.seq)) break;
          if (frame.seq > playersSeq) note(frame);
        }
        hold.tell("presence", frame);
        if (players !== before) hold.tell("players", players);
        break;
      }
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
    if (how.ttl !== undefined) duration("ttl", how.ttl);
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
        if (link.status !== "closed" && (!isJoined || isLeaving)) return;
        off();
        signal?.removeEventListener("abort", abort);
        if (link.status === "closed") reject(link.reason);
        else resolve(room);
      }
      if (!starting) {
        starting = true;
        const saved = memory.load();
        if (saved) ({ session, epoch, seq, state } = saved);
        const before = predecessor(address);
        link.start(before?.over, before !== undefined);
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
    get names() {
      return names;
    },
    get playerCount() {
      return playerCount;
    },
    get pending() {
      return outbox.size;
    },
    // `undefined` is nothing that JSON can say.
    send: (data: unknown, how: T.SendOptions = {}) => post({ type: "send", data: data ?? null, to: how.to }, how),
    patch: async (patch: object, how: T.PatchOptions = {}) => {
      const { ifSeq } = how;
      return post({ type: "patch", patch, if_seq: ifSeq === undefined ? undefined : whole("ifSeq", ifSeq) }, how);
    },
    volatile(name: string, data: unknown, { to }: { to?: string[] | undefined } = {}) {
      const text = JSON.stringify({ type: "send", volatile: volatileName(name), data: data ?? null, to });
      if (link.status !== "online" || role === "spectator") return false;
      outbox.check(text);
      return volatiles.put(JSON.stringify([name, to]), text);
    },
    leave: () =>
      new Promise<void>((resolve) => {
        const isFirst = !isLeaving;
        isLeaving = true;
        if (link.status === "closed") return resolve();
        on("status", ({ status }) => {
          if (status !== "closed") return;
          clearTimeout(patience);
          resolve();
        });
        if (!isFirst) return;
        // Not begun, or waiting for another attempt.
        if (!link.isBusy) return abandon();
        // The server may have the seat for us already: it is told as soon as there is a connection.
        depart(
          address,
          new Promise<void>((over) => on("status", ({ status }) => status === "closed" && over(link.gone))),
        );
        patience = setTimeout(abandon, LEAVE_FIRST_MS);
        if (link.status === "online") sayGoodbye();
      }),
    close() {
      if (link.status !== "closed") abandon();
    },
  };
  return room;
}
