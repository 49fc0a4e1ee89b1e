//! Owns what a link is to those who use it, and what it wants to know of them.
//! Implemented by `link`.

import type { InnkeeperError } from "./error.js";
import type { Transport } from "./transport.js";
import type { ClientFrame, HubWelcome, ProxyWelcome, ServerFrame, Status, Welcome } from "./types.js";

/** The server's own frames at a proxy. */
export type RelayFrame = ProxyWelcome | Extract<ServerFrame, { type: "error" | "going_away" }>;

export type MaybeToken = string | null | undefined;
/**
 * A token, or what gets a fresh one: it is asked before every connection and when the server says that one expires.
 * A function that throws an `InnkeeperError` gives up: the connection ends for good with that reason.
 */
export type Token = string | (() => MaybeToken | Promise<MaybeToken>);

export interface LinkOptions {
  transport: Transport;
  token: Token | null | undefined;
  /** From the start of an attempt to the open socket. */
  connectTimeoutMs: number;
  /** From the open socket to the welcome. */
  welcomeTimeoutMs: number;
  pingIntervalMs: number;
  pingTimeoutMs: number;
  backoffBaseMs: number;
  backoffCapMs: number;
}

/** What uses a link. */
export interface Host {
  /** Where to connect to; asked for each attempt. */
  url(): string;
  /** Whether a second attempt may overtake one that was given up: with a session the server tells them apart. */
  mayOverlap(): boolean;
  welcome(frame: Welcome | HubWelcome | ProxyWelcome): void;
  frame(frame: ServerFrame): void;
  /** For a relay, whose frames are not ours: takes what arrives, and returns the frame if it is the server's own. */
  relayed?(data: string | ArrayBuffer): RelayFrame | undefined;
  /** For a relay: the socket is open; `true`: no welcome need be waited for. */
  opened?(): boolean;
  /** `status`, `reason` or `retryInMs` is another one; not called for a welcome, which says enough. */
  changed(): void;
  /** Something failed that does not end the connection. */
  failed(error: InnkeeperError): void;
}

export interface Link {
  readonly status: Status;
  readonly reason: InnkeeperError | undefined;
  readonly retryInMs: number | undefined;
  /** The last measured round trip in ms. */
  readonly latency: number | undefined;
  /** Bytes that the socket has not passed on yet. */
  readonly buffered: number;
  /** Whether an attempt or a connection is under way. */
  readonly isBusy: boolean;
  /** Resolves when the last socket has ended: the server knows, or will find out by itself. */
  readonly gone: Promise<void>;
  /**
   * `after`: begins when that is over. `isSuspect`: an earlier client of this page may hold the seat for a while, so that
   * a 4002 is not somebody else's.
   */
  start(after?: Promise<void>, isSuspect?: boolean): void;
  /** Writes a frame, or its text, if there is a connection that was welcomed. */
  send(frame: ClientFrame | string | ArrayBuffer): boolean;
  /** Ends it for good. */
  stop(why: InnkeeperError): void;
}
