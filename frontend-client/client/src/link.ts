//! Owns one address that is kept connected: attempts, tokens, heartbeat, and what the end of a connection means.
//! Used by `room` and `feed`, which say what to ask for and take the frames.

import { InnkeeperError } from "./error.js";
import { backoff, verdictOf } from "./retry.js";
import type { Line, Transport } from "./transport.js";
import type { ClientFrame, HubWelcome, ServerFrame, Status, Welcome } from "./types.js";

/** A token, or what gets a fresh one: it is asked before every connection and when the server says that one expires. */
export type Token = string | (() => string | undefined | Promise<string | undefined>);

export interface LinkOptions {
  transport: Transport;
  token: Token | undefined;
  /** From the start of an attempt to the welcome. */
  connectTimeoutMs: number;
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
  welcome(frame: Welcome | HubWelcome): void;
  frame(frame: ServerFrame): void;
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
  start(): void;
  /** Writes a frame, or its text, if there is a connection that was welcomed. */
  send(frame: ClientFrame | string): boolean;
  /** Ends it for good. */
  stop(why: InnkeeperError): void;
}

/** How long an attempt that was given up may still be on its way to the server. */
const SUSPICION_MS = 60_000;
/** A connection this old counts as a success: the backoff begins anew. */
const STABLE_MS = 5_000;
/** The least wait where the server asked for patience, and as how many failures it counts. */
const LATER_MS = 1_000;
const LATER_FAILURES = 4;
/** An attempt this young is not overtaken because the page woke up. */
const YOUNG_MS = 1_000;

const now = () => performance.now();

export function createLink(options: LinkOptions, host: Host): Link {
  const { token } = options;
  let status: Status = "connecting";
  let reason: InnkeeperError | undefined;
  let retryInMs: number | undefined;
  let latency: number | undefined;
  // The current attempt or connection. Whatever an earlier one has to say is not heard: its number is another one.
  let line: Line | undefined;
  let number = 0;
  let startedAt = 0;
  let welcomedAt: number | undefined;
  let everWelcomed = false;
  let failures = 0;
  // Until the next attempt, or until this one takes too long.
  let timer: ReturnType<typeof setTimeout> | undefined;
  let beat: ReturnType<typeof setTimeout> | undefined;
  // A wait that waking up does not cut short.
  let patient = false;
  // Attempts that were given up and may still reach the server, and take the seat (S7); and until when.
  let suspects = 0;
  let suspectUntil = 0;
  let slot: number | undefined;
  let lastError: { code: string; message: string } | undefined;
  let heard = true;
  let nonce = 0;
  let pingedAt = 0;

  function set(next: Status, why?: InnkeeperError, wait?: number): void {
    [status, reason, retryInMs] = [next, why, wait];
    host.changed();
  }

  const write = (frame: ClientFrame) => line?.send(JSON.stringify(frame));

  async function connect(): Promise<void> {
    if (retryInMs !== undefined) set(status, reason);
    // A handler may have ended it.
    if ((status as Status) === "closed") return;
    const mine = ++number;
    const isCurrent = () => mine === number;
    clearTimeout(timer);
    patient = false;
    startedAt = now();
    slot = lastError = welcomedAt = undefined;
    heard = true;
    let isOpen = false;
    timer = setTimeout(giveUp, options.connectTimeoutMs);
    let credential: string | undefined;
    try {
      // No turn is lost where nothing is to be waited for.
      credential = typeof token === "function" ? await token() : token;
    } catch (error) {
      if (isCurrent()) ended(1006, "token", `the token function failed: ${String(error)}`);
      return;
    }
    if (!isCurrent()) return;
    try {
      const url = host.url();
      line = options.transport.open(url, {
        opened() {
          isOpen = true;
          // As a frame, not in the URL: addresses end up in the logs of what is in between.
          if (isCurrent() && credential !== undefined) write({ type: "auth", token: credential });
        },
        text: (text) => isCurrent() && hear(text),
        closed(code, why) {
          if (!isCurrent()) return;
          ended(code, why);
          if (!isOpen) void explain(url);
        },
      });
    } catch (error) {
      finish(new InnkeeperError("bad_url", String(error)));
    }
  }

  /** Learns why there was no connection at all, for as long as nothing else has begun. */
  async function explain(url: string): Promise<void> {
    const mine = number;
    const refusal = await options.transport.explain(url);
    if (!refusal || mine !== number || status === "closed") return;
    const error = new InnkeeperError(refusal.code, refusal.message);
    // An origin or a name that is refused now is refused the next time, too.
    if (refusal.status === 400 || refusal.status === 403) finish(error);
    else set(status, error, retryInMs);
  }

  function hear(text: string): void {
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (!heard) {
      heard = true;
      clearTimeout(beat);
      beat = setTimeout(ping, options.pingIntervalMs);
    }
    lastError = frame.type === "error" && frame.id === undefined ? frame : undefined;
    switch (frame.type) {
      case "ping":
        write({ type: "pong" });
        break;
      case "pong":
        if (frame.nonce === nonce) latency = now() - pingedAt;
        break;
      case "going_away":
        slot = frame.reconnect_after_ms;
        break;
      case "token_expiring":
        void renew();
        break;
      case "welcome":
        clearTimeout(timer);
        welcomedAt = now();
        everWelcomed = true;
        [status, reason, retryInMs] = ["online", undefined, undefined];
        ping();
        host.welcome(frame);
        break;
      default:
        host.frame(frame);
    }
  }

  async function renew(): Promise<void> {
    const mine = number;
    // A text cannot become fresher.
    if (typeof token !== "function") return;
    try {
      const fresh = await token();
      if (mine === number && fresh !== undefined) write({ type: "auth", token: fresh });
    } catch (error) {
      host.failed(new InnkeeperError("token", `the token function failed: ${String(error)}`));
    }
  }

  /** Asks the server for a sign of life; without one in time the connection is dead, whatever the socket says. */
  function ping(): void {
    clearTimeout(beat);
    heard = false;
    pingedAt = now();
    write({ type: "ping", nonce: ++nonce });
    beat = setTimeout(abandon, options.pingTimeoutMs, 4009, "heartbeat_timeout", "the server does not answer");
  }

  /** The attempt takes too long. */
  function giveUp(): void {
    if (line && !host.mayOverlap()) {
      // Nothing tells two first joins apart: this one must be over before the next begins. `closed` follows.
      lastError = { code: "connect_timeout", message: "no answer in time" };
      line.close();
    } else {
      // Each one can come late, whereas the others that fail are over.
      if (line) suspects++;
      abandon(1006, "connect_timeout", "no answer in time");
    }
  }

  function abandon(closeCode: number, code: string, message: string): void {
    line?.close();
    ended(closeCode, code, message);
  }

  /** The current attempt or connection is over. */
  function ended(closeCode: number, why: string, message?: string): void {
    const at = now();
    number++;
    line = undefined;
    clearTimeout(timer);
    clearTimeout(beat);
    const code = lastError?.code ?? (why || (closeCode === 1006 ? "connection_lost" : `closed_${closeCode}`));
    const error = new InnkeeperError(code, lastError?.message ?? message ?? `connection closed: ${code}`, closeCode);
    if (at > suspectUntil) suspects = 0;
    if (welcomedAt === undefined && closeCode === 1006) {
      // The server may hold a seat for an attempt that ended before its welcome.
      suspects ||= 1;
      suspectUntil = at + SUSPICION_MS;
    } else if (welcomedAt !== undefined && at - welcomedAt >= STABLE_MS) failures = 0;
    let verdict = verdictOf(closeCode, code);
    if (closeCode === 4000 && suspects > 0) {
      // Our own attempt, which we had given up, may have come late. Once for each: next time it is somebody else.
      suspects--;
      verdict = "resume";
    } else if (closeCode === 4002 && suspects > 0 && !host.mayOverlap()) verdict = "resume";
    // A new token is needed, and there is none to be had.
    else if (closeCode === 4001 && token === undefined) verdict = "stop";
    else if (closeCode === 4005 && typeof token !== "function") verdict = "stop";
    if (verdict === "stop") return finish(error);

    patient = verdict === "later" || slot !== undefined;
    if (verdict === "later") failures = Math.max(failures, LATER_FAILURES);
    const least = verdict === "later" ? LATER_MS : 0;
    const wait = slot ?? least + backoff(failures, options.backoffBaseMs, options.backoffCapMs);
    failures++;
    timer = setTimeout(connect, wait);
    set(everWelcomed ? "reconnecting" : "connecting", error, wait);
  }

  /** The page may have a network again, or be looked at again. */
  function probe(): void {
    if (document?.visibilityState === "hidden") return;
    if (status === "online") ping();
    else if (patient) return;
    else if (retryInMs !== undefined) {
      failures = 0;
      void connect();
    } else if (line && host.mayOverlap() && now() - startedAt > YOUNG_MS) {
      failures = 0;
      giveUp();
    }
  }

  // Neither is there in Node.
  const { document } = globalThis as { document?: Document };
  const listen = (method: "addEventListener" | "removeEventListener") => {
    for (const event of ["online", "pageshow"]) globalThis[method]?.(event, probe);
    document?.[method]("visibilitychange", probe);
  };

  function finish(why: InnkeeperError): void {
    if (status === "closed") return;
    number++;
    clearTimeout(timer);
    clearTimeout(beat);
    listen("removeEventListener");
    line?.close();
    line = undefined;
    set("closed", why);
  }

  return {
    get status() {
      return status;
    },
    get reason() {
      return reason;
    },
    get retryInMs() {
      return retryInMs;
    },
    get latency() {
      return latency;
    },
    start() {
      listen("addEventListener");
      void connect();
    },
    send(frame) {
      if (status !== "online" || !line) return false;
      line.send(typeof frame === "string" ? frame : JSON.stringify(frame));
      return true;
    },
    stop: finish,
  };
}
