//! Owns one address that is kept connected: attempts, tokens, heartbeat, and what the end of a connection means.
//! Used by `room`, `feed` and `proxy`, which say what to ask for and take the frames.

import { InnkeeperError } from "./error.js";
import type { Host, Link, LinkOptions, MaybeToken, RelayFrame } from "./link-types.js";
import { watchPage } from "./page.js";
import { backoff, verdictOf } from "./retry.js";
import type { Line } from "./transport.js";
import type { ClientFrame, ServerFrame, Status } from "./types.js";

export type { LinkOptions, RelayFrame, Token } from "./link-types.js";

/** How long an attempt that was given up may still be on its way to the server. */
const SUSPICION_MS = 60_000;
/** A connection this old counts as a success: the backoff begins anew. */
const STABLE_MS = 5_000;
/** The least wait where the server asked for patience, and as how many failures it counts. */
const LATER_MS = 1_000;
const LATER_FAILURES = 4;
/** An attempt this young is not overtaken because the page woke up. */
const YOUNG_MS = 1_000;
/** How long a connection has to show that it lives when the browser says that there is no network. */
const OFFLINE_MS = 2_000;
/** The longest wait that anybody may ask for: timers cannot count much further. */
const DAY_MS = 86_400_000;

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
  // The least wait that an upstream asked for.
  let asked = 0;
  let lastError: { code: string; message: string } | undefined;
  let heard = true;
  let nonce = 0;
  let pingedAt = 0;
  let gone = Promise.resolve();
  let unwatch: (() => void) | undefined;

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
    asked = 0;
    let isOpen = false;
    timer = setTimeout(giveUp, options.connectTimeoutMs);
    let credential: MaybeToken;
    try {
      // No turn is lost where nothing is to be waited for.
      credential = typeof token === "function" ? await token() : token;
    } catch (error) {
      if (isCurrent()) tokenFailed(error, (words) => ended(1006, "token", words));
      return;
    }
    if (!isCurrent()) return;
    try {
      const url = host.url();
      let isGone!: () => void;
      const ending = new Promise<void>((resolve) => (isGone = resolve));
      line = options.transport.open(url, {
        opened() {
          isOpen = true;
          if (!isCurrent()) return;
          // The server, too, counts from here: it must be the one that says what is missing.
          clearTimeout(timer);
          timer = setTimeout(giveUp, options.welcomeTimeoutMs);
          // As a frame, not in the URL: addresses end up in the logs of what is in between.
          if (credential != null) write({ type: "auth", token: credential });
          if (host.opened?.()) {
            welcomed();
            host.changed();
          }
        },
        data: (data) => isCurrent() && hear(data),
        closed(code, why) {
          isGone();
          if (!isCurrent()) return;
          ended(code, why);
          if (!isOpen) void explain(url);
        },
        failed(why, isFinal) {
          isGone();
          if (!isCurrent()) return;
          // What the page's rules forbid they forbid the next time, too.
          if (isFinal) finish(why);
          else ended(1006, why.code, why.message);
        },
      });
      gone = ending;
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

  /** A function that throws an error of ours has given up; anything else is tried again. */
  function tokenFailed(error: unknown, again: (words: string) => void): void {
    if (error instanceof InnkeeperError) finish(error);
    else again(`the token function failed: ${String(error)}`);
  }

  function welcomed(): void {
    clearTimeout(timer);
    welcomedAt = now();
    everWelcomed = true;
    [status, reason, retryInMs] = ["online", undefined, undefined];
  }

  function hear(data: string | ArrayBuffer): void {
    let frame: ServerFrame | RelayFrame | undefined;
    if (host.relayed) frame = host.relayed(data);
    else {
      try {
        frame = JSON.parse(data as string);
      } catch {
        return;
      }
    }
    if (!frame) {
      lastError = undefined;
      return;
    }
    if (!heard && !host.relayed) {
      heard = true;
      clearTimeout(beat);
      beat = setTimeout(ping, options.pingIntervalMs);
    }
    lastError = frame.type === "error" && frame.id === undefined ? frame : undefined;
    if (frame.type === "error" && (frame.retry_after_ms ?? 0) > 0)
      asked = Math.min(frame.retry_after_ms as number, DAY_MS);
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
        welcomed();
        if (!host.relayed) ping();
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
      if (mine === number && fresh != null) write({ type: "auth", token: fresh });
    } catch (error) {
      if (mine === number) tokenFailed(error, (words) => host.failed(new InnkeeperError("token", words)));
    }
  }

  /** Asks the server for a sign of life; without one in time the connection is dead, whatever the socket says. */
  function ping(
    within = options.pingTimeoutMs,
    code = "heartbeat_timeout",
    message = "the server does not answer",
  ): void {
    clearTimeout(beat);
    heard = false;
    pingedAt = now();
    write({ type: "ping", nonce: ++nonce });
    beat = setTimeout(abandon, within, 4009, code, message);
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
    else if (closeCode === 4001 && token == null) verdict = "stop";
    else if (closeCode === 4005 && typeof token !== "function") verdict = "stop";
    if (verdict === "stop") return finish(error);

    patient = verdict === "later" || slot !== undefined || asked > 0;
    if (verdict === "later") failures = Math.max(failures, LATER_FAILURES);
    const least = Math.max(asked, verdict === "later" ? LATER_MS : 0);
    const wait = slot ?? least + backoff(failures, options.backoffBaseMs, options.backoffCapMs);
    failures++;
    timer = setTimeout(connect, wait);
    set(everWelcomed ? "reconnecting" : "connecting", error, wait);
  }

  /** The page may have a network again, or be looked at again. */
  function probe(): void {
    // A relay takes no pings of ours; only its server can ask.
    if (status === "online") {
      if (!host.relayed) ping();
    } else if (patient) return;
    else if (retryInMs !== undefined) {
      failures = 0;
      void connect();
    } else if (line && host.mayOverlap() && now() - startedAt > YOUNG_MS) {
      failures = 0;
      giveUp();
    }
  }

  /** A server on this machine can be reached all the same. */
  function offline(): void {
    const words = "the browser says that there is no network";
    if (status !== "online") return;
    if (!host.relayed) ping(Math.min(OFFLINE_MS, options.pingTimeoutMs), "offline", words);
    // No ping of ours can ask; with a session another connection loses nothing.
    else if (host.mayOverlap()) abandon(1006, "offline", words);
  }

  function finish(why: InnkeeperError): void {
    if (status === "closed") return;
    number++;
    clearTimeout(timer);
    clearTimeout(beat);
    unwatch?.();
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
    get buffered() {
      return line?.buffered ?? 0;
    },
    get isBusy() {
      return status !== "closed" && line !== undefined;
    },
    get gone() {
      return gone;
    },
    start(after, isSuspect) {
      if (isSuspect) {
        suspects = 1;
        suspectUntil = now() + SUSPICION_MS;
      }
      const begin = () => {
        if (status === "closed") return;
        unwatch = watchPage({ wake: probe, offline });
        void connect();
      };
      if (after) void after.then(begin);
      else begin();
    },
    send(frame) {
      if (status !== "online" || !line) return false;
      line.send(typeof frame === "string" || frame instanceof ArrayBuffer ? frame : JSON.stringify(frame));
      return true;
    },
    stop: finish,
  };
}
