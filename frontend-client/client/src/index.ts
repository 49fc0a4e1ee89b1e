//! Owns `connect`, the way in, and what the package exports.
//! Called by applications.

import { InnkeeperError } from "./error.js";
import { createFeed, type Feed } from "./feed.js";
import type { LinkOptions, Token } from "./link.js";
import type { StorageLike } from "./memory.js";
import { createRoom, type Join, type Room } from "./room.js";
import { webSockets, type WebSocketConstructor } from "./transport.js";

export { InnkeeperError } from "./error.js";
export type { Feed, FeedEvents } from "./feed.js";
export type { Handler } from "./emitter.js";
export type { Token } from "./link.js";
export type { StorageLike } from "./memory.js";
export type { Room, RoomEvents } from "./room.js";
export type { WebSocketConstructor, WebSocketLike } from "./transport.js";
export { merge } from "./merge.js";
export type * from "./types.js";

export interface ConnectOptions {
  /** The room's name; `join` and `room` need it. */
  game?: string | undefined;
  /** The seat's name. */
  player?: string | undefined;
  /** A JWT (for hubs of the server's own: the operator's token), or a function that gets a fresh one. */
  token?: Token | undefined;
  /** Watch only. */
  spectate?: boolean | undefined;
  /** Where the session is kept, so that a reload resumes it: `sessionStorage`. Default: nowhere. */
  storage?: StorageLike | undefined;
  /** Default: the global one. Node 20 has none: give `ws`'s. */
  WebSocket?: WebSocketConstructor | undefined;
  /** Unconfirmed messages at a time, sent or not; more are rejected with `overflow`. Default 256. */
  queueLimit?: number | undefined;
  /** Messages per second after a burst of 100; keep it below the server's MESSAGE_RATE. Default 80. */
  messageRate?: number | undefined;
  /** From the start of an attempt to the welcome. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** Between the heartbeat's pings. Default 10,000. */
  pingIntervalMs?: number | undefined;
  /** Silence after a ping that ends the connection; at most the interval. Default 5,000. */
  pingTimeoutMs?: number | undefined;
  /** Reconnects wait a random time up to this, doubled with each failure. Default 250. */
  backoffBaseMs?: number | undefined;
  /** Default 30,000. */
  backoffCapMs?: number | undefined;
}

export interface Client {
  /**
   * Connects, and resolves with the first welcome. While the server cannot be reached it keeps trying; it rejects
   * with an `InnkeeperError` when the server says stop, or with the signal's reason.
   */
  readonly join: Join;
  /** The same room, also before it is joined: to show why that takes long. */
  readonly room: Room;
  /** Connects to a hub; each call is a connection of its own. */
  feed(hub: string): Feed;
}

/** `url` is the server's origin, with a path if it is mounted there: `https://play.example`, `ws://localhost:8080`. */
export function connect(url: string, options: ConnectOptions = {}): Client {
  const { game = "", player = "", spectate, storage } = options;
  const base = url.replace(/^http/i, "ws").replace(/\/+$/, "");
  const WebSocket = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
  if (!WebSocket) throw new InnkeeperError("no_websocket", "there is no global WebSocket here: give one as an option");
  const linkOptions: LinkOptions = {
    transport: webSockets(WebSocket),
    token: options.token,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    pingIntervalMs: options.pingIntervalMs ?? 10_000,
    pingTimeoutMs: options.pingTimeoutMs ?? 5_000,
    backoffBaseMs: options.backoffBaseMs ?? 250,
    backoffCapMs: options.backoffCapMs ?? 30_000,
  };
  let made: ReturnType<typeof createRoom> | undefined;
  const room = () =>
    (made ??= createRoom(
      base,
      {
        game: checked(game, NAME),
        player: checked(player, NAME),
        spectate,
        storage,
        queueLimit: options.queueLimit ?? 256,
        messageRate: options.messageRate ?? 80,
      },
      linkOptions,
    ));
  return {
    join: async (how) => room().join(how),
    get room() {
      return room();
    },
    feed: (hub) => createFeed(base, checked(hub, HUB), linkOptions),
  };
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$/;
/** The server's own hubs begin with `_`. */
const HUB = /^[A-Za-z0-9_][A-Za-z0-9._~-]{0,63}$/;

/** P1: the server answers anything else with a status that a page cannot see, and that would look like a lost network. */
function checked(name: string, pattern: RegExp): string {
  if (pattern.test(name)) return name;
  throw new InnkeeperError("invalid_id", "a name is 1 to 64 of A-Z a-z 0-9 . _ ~ - and begins with a letter or digit");
}
