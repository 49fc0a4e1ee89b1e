//! Owns the tests' server: sockets that do what a test says, on a clock that it moves.
//! Used by every test that needs no real server.

import { afterEach, beforeEach, vi } from "vitest";
import { forgetDepartures } from "../src/departures.js";
import {
  connect,
  type ConnectOptions,
  type Room,
  type RoomEvents,
  type ServerFrame,
  type Welcome,
} from "../src/index.js";
import { forgetPassed } from "../src/memory.js";

type Loose = { [key: string]: unknown };

export class FakeSocket {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (!socket) throw new Error("nobody connected");
    return socket;
  }

  readyState = 0;
  isClosed = false;
  bufferedAmount = 0;
  sent: Loose[] = [];
  /** The same as it was sent, whatever it is. */
  raw: unknown[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocol?: string,
  ) {
    FakeSocket.all.push(this);
  }

  send(data: unknown): void {
    if (this.readyState !== 1) throw new Error("not open");
    this.raw.push(data);
    if (typeof data === "string" && data.startsWith("{")) this.sent.push(JSON.parse(data));
  }

  /** The client hangs up. What follows is up to the test: a dead network answers nothing. */
  close(): void {
    this.isClosed = true;
    this.readyState = 2;
  }

  open(): this {
    this.readyState = 1;
    this.onopen?.();
    return this;
  }

  say(frame: ServerFrame | Loose): this {
    this.onmessage?.({ data: JSON.stringify(frame) });
    return this;
  }

  text(data: string): this {
    this.onmessage?.({ data });
    return this;
  }

  bytes(data: ArrayBuffer): this {
    this.onmessage?.({ data });
    return this;
  }

  welcome(fields: Partial<Welcome> = {}): this {
    return this.open().say(welcome(fields));
  }

  end(code = 1006, reason = ""): this {
    this.readyState = 3;
    this.onclose?.({ code, reason });
    return this;
  }

  get query(): URLSearchParams {
    return new URL(this.url).searchParams;
  }

  /** What was sent, without the heartbeat. */
  get said(): Loose[] {
    return this.sent.filter(({ type }) => type !== "ping");
  }
}

export function welcome(fields: Partial<Welcome> = {}): Welcome {
  const state = fields.resume === "continuous" ? {} : { state: {} };
  return {
    type: "welcome",
    protocol: 1,
    game: "g",
    player: "alice",
    role: "player",
    epoch: "e1",
    session: "e1.secret",
    resume: "new",
    seq: 1,
    last_id: 0,
    players: { alice: "joined" },
    heartbeat: { interval_ms: 30_000, timeout_ms: 10_000 },
    grace_ms: 60_000,
    max_message_bytes: 65_536,
    ...state,
    ...fields,
  };
}

/** Each test has its own clock, dice that always show the same, and no network. */
export function useFakes(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(1);
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
    FakeSocket.all = [];
    forgetDepartures();
    forgetPassed();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
}

export function client(options: ConnectOptions = {}) {
  return connect("http://server", { game: "g", player: "alice", WebSocket: FakeSocket, ...options });
}

/** A room that is online, and its socket. */
export async function joined(options: ConnectOptions = {}, fields: Partial<Welcome> = {}) {
  const joining = client(options).join();
  await vi.advanceTimersByTimeAsync(0);
  FakeSocket.last.welcome(fields);
  const room = await joining;
  const heard = listen(room);
  await vi.advanceTimersByTimeAsync(0);
  return { room, socket: FakeSocket.last, heard };
}

/** The same room after a loss: the connection breaks, and another one is welcomed. */
export async function resumed(fields: Partial<Welcome>): Promise<FakeSocket> {
  const before = FakeSocket.last;
  if (before.readyState !== 3) before.end();
  for (let waited = 0; FakeSocket.last === before; waited += 250) {
    if (waited > 60_000) throw new Error("it did not come back");
    await vi.advanceTimersByTimeAsync(250);
  }
  return FakeSocket.last.welcome({ resume: "continuous", ...fields });
}

/** Everything a room tells, in order. */
export function listen(room: Room): [keyof RoomEvents, unknown][] {
  const heard: [keyof RoomEvents, unknown][] = [];
  const events = ["message", "patch", "presence", "volatile", "state", "status", "error", "resumed"] as const;
  for (const event of events) room.on(event, (value) => heard.push([event, value]));
  return heard;
}

/** The code that a promise is rejected with, once it is. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "resolved",
    (error: { code?: string }) => error.code ?? String(error),
  );
}
