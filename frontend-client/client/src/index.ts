//! Owns `connect`, the way in, and what the package exports.
//! Called by applications.

import { duration, rate, whole } from "./check.js";
import { InnkeeperError } from "./error.js";
import { createFeed, type Feed } from "./feed.js";
import type { LinkOptions, Token } from "./link.js";
import type { StorageLike } from "./memory.js";
import { PLAYER } from "./player-id.js";
import { createProxy, type Proxy, type ProxyOptions } from "./proxy.js";
import { createRoom } from "./room.js";
import type { Join, Room } from "./room-types.js";
import { webSockets, type WebSocketConstructor } from "./transport.js";
import type { Json } from "./types.js";

export { InnkeeperError } from "./error.js";
export type { Feed, FeedEvents } from "./feed.js";
export type { Handler } from "./emitter.js";
export type { Token } from "./link.js";
export type { StorageLike } from "./memory.js";
export type { Proxy, ProxyEvents, ProxyOptions } from "./proxy.js";
export type { Join, Room, RoomEvents } from "./room-types.js";
export type { WebSocketConstructor, WebSocketLike } from "./transport.js";
export { merge } from "./merge.js";
export { playerId } from "./player-id.js";
export type * from "./types.js";

export interface ConnectOptions {
  /** The room's name; `join` and `room` need it. */
  game?: string | undefined;
  /** The seat's name. */
  player?: string | undefined;
  /** A JWT (for hubs of the server's own: the operator's token), or a function that gets a fresh one. */
  token?: Token | null | undefined;
  /** Watch only. */
  spectate?: boolean | undefined;
  /** What the others see in place of the seat's name, 1 to 64 characters; with a token its `name` claim counts. */
  name?: string | undefined;
  /** Learn the others' display names: `room.names`, and `name` in `presence`. */
  names?: boolean | undefined;
  /** Where the session is kept, so that a reload resumes it: `sessionStorage`. Default: nowhere. */
  storage?: StorageLike | undefined;
  /** Default: the global one. Node 20 has none: give `ws`'s. */
  WebSocket?: WebSocketConstructor | undefined;
  /** Unconfirmed messages at a time, sent or not; more are rejected with `overflow`. Default 256. */
  queueLimit?: number | undefined;
  /** Messages per second after a burst of 100; keep it below the server's MESSAGE_RATE. Default 80. */
  messageRate?: number | undefined;
  /** From the start of an attempt to the open socket. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** From the open socket to the welcome; longer than the server waits for a token. Default 15,000. */
  welcomeTimeoutMs?: number | undefined;
  /** Between the heartbeat's pings. Default 10,000. */
  pingIntervalMs?: number | undefined;
  /** Silence after a ping that ends the connection; at most the interval. Default 5,000. */
  pingTimeoutMs?: number | undefined;
  /** Reconnects wait a random time up to this, doubled with each failure. Default 250. */
  backoffBaseMs?: number | undefined;
  /** Default 30,000. */
  backoffCapMs?: number | undefined;
}

/** `S`, `M` and `V` are the application's own types of the room's state, of messages and of volatile values. */
export interface Client<S = Json, M = Json, V = Json> {
  /**
   * Connects, and resolves with the first welcome. While the server cannot be reached it keeps trying; it rejects
   * with an `InnkeeperError` when the server says stop, or with the signal's reason.
   */
  readonly join: Join<S, M, V>;
  /** The same room, also before it is joined: to show why that takes long. */
  readonly room: Room<S, M, V>;
  /** Connects to a hub; each call is a connection of its own. */
  feed(hub: string): Feed;
  /** Connects to a proxy; each call is a session of its own with its upstream. */
  proxy(name: string, options?: ProxyOptions): Proxy;
}

/** `url` is the server's origin, with a path if it is mounted there: `https://play.example`, `ws://localhost:8080`. */
export function connect<S = Json, M = Json, V = Json>(url: string, options: ConnectOptions = {}): Client<S, M, V> {
  const { game = "", player = "", spectate, name, names, storage } = options;
  const base = url.replace(/^http/i, "ws").replace(/\/+$/, "");
  const WebSocket = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
  if (!WebSocket) throw new InnkeeperError("no_websocket", "there is no global WebSocket here: give one as an option");
  const ms = (option: MsOption, fallback: number) => duration(option, options[option] ?? fallback);
  const linkOptions: LinkOptions = {
    transport: webSockets(WebSocket),
    token: options.token,
    connectTimeoutMs: ms("connectTimeoutMs", 10_000),
    welcomeTimeoutMs: ms("welcomeTimeoutMs", 15_000),
    pingIntervalMs: ms("pingIntervalMs", 10_000),
    pingTimeoutMs: ms("pingTimeoutMs", 5_000),
    backoffBaseMs: ms("backoffBaseMs", 250),
    backoffCapMs: ms("backoffCapMs", 30_000),
  };
  const queueLimit = whole("queueLimit", options.queueLimit ?? 256);
  const messageRate = rate("messageRate", options.messageRate ?? 80);
  let made: ReturnType<typeof createRoom> | undefined;
  const room = () =>
    (made ??= createRoom(
      base,
      {
        game: checked(game, NAME),
        player: checked(player, PLAYER),
        spectate,
        name,
        names,
        storage,
        queueLimit,
        messageRate,
      },
      linkOptions,
    ));
  const client: Client = {
    join: async (how) => room().join(how),
    get room() {
      return room();
    },
    feed: (hub) => createFeed(base, checked(hub, HUB), messageRate, linkOptions),
    proxy: (proxy, how) => createProxy(base, checked(proxy, NAME), how, linkOptions),
  };
  // What goes over the wire is JSON; what it means is the application's promise.
  return client as unknown as Client<S, M, V>;
}

type MsOption = Extract<keyof ConnectOptions, `${string}Ms`>;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$/;
/** The server's own hubs begin with `_`. */
const HUB = /^[A-Za-z0-9_][A-Za-z0-9._~-]{0,63}$/;

/** P1: the server answers anything else with a status that a page cannot see, and that would look like a lost network. */
function checked(name: string, pattern: RegExp): string {
  if (pattern.test(name)) return name;
  throw new InnkeeperError("invalid_id", "a name is 1 to 64 of A-Z a-z 0-9 . _ ~ - and begins with a letter or digit");
}
