//! Owns what is to be sent: bounded, in order, each with its promise, and each applied at most once (S2).
//! Used by `room`, which says when there is a connection and what the server answered.

import { InnkeeperError } from "./error.js";
import type { Receipt, SendOptions, Welcome } from "./types.js";

export interface OutboxOptions {
  /** How many may be unconfirmed at a time. */
  limit: number;
  /** Frames per second, after a burst of `BURST`: below the server's MESSAGE_RATE, or it closes with 4029 (S5). */
  rate: number;
  /** Writes a text; `false`: there is no connection now. */
  write(text: string): boolean;
}

export interface Outbox {
  /** Unconfirmed ones. */
  readonly size: number;
  add(frame: object, options: SendOptions): Promise<Receipt>;
  /** Whether something that may be dropped may be written now: what is confirmed keeps half of the burst for itself. */
  spare(bytes: number): boolean;
  /** Throws where the server would refuse this text with an answer that names nobody, or end the session for it. */
  check(text: string): void;
  /** Runs once everything that waits now was written, or failed. */
  whenWritten(run: () => void): void;
  /** The server has applied this `id`. */
  confirm(id: number, seq: number | null): boolean;
  /** The server has refused it, and its `id` is not used up. */
  refuse(id: number, error: InnkeeperError): boolean;
  /** A connection was welcomed. */
  welcomed(welcome: Welcome, isSameEpoch: boolean): void;
  close(why: InnkeeperError): void;
}

interface Entry {
  text: string;
  addedAt: number;
  options: SendOptions;
  /** Since it was written for the first time. */
  id?: number | undefined;
  /** Nothing more is to be written on this connection. */
  isOut: boolean;
  /** With a receipt it is applied, with anything else it failed. */
  settle(receipt: Receipt | undefined, error?: unknown): void;
}

/** Frames that may be written at once. */
const BURST = 100;
/** Bytes that may be written at once, and in a second: below the server's BYTE_BURST and BYTE_RATE (S5a). */
const BYTE_BURST = 700_000;
const BYTE_RATE = 200_000;
/** How deep a frame's brackets may nest (P2), its own included. */
const MAX_DEPTH = 127;

function isTooDeep(text: string): boolean {
  // Nearly always so few brackets that it does not matter how they nest.
  if (text.split(/[[{]/).length <= MAX_DEPTH + 1) return false;
  let depth = 0;
  for (const [bracket] of text.replace(/"(\\.|[^"\\])*"/g, "").matchAll(/[[{}\]]/g)) {
    depth += bracket === "[" || bracket === "{" ? 1 : -1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** `JSON.stringify` escapes a surrogate only where its other half is missing; the server refuses such a text (N2). */
const LONE_SURROGATE = /(?<!\\)(\\\\)*\\ud[89a-f]/;

/** A UTF-16 unit takes at most three bytes. */
const bytesOf = (text: string, enough: number) => (text.length * 3 <= enough ? text.length * 3 : new TextEncoder().encode(text).length);

export function createOutbox({ limit, rate, write }: OutboxOptions, sent: () => void): Outbox {
  const entries: Entry[] = [];
  let lastId = 0;
  let maxBytes = Infinity;
  let wasWelcomed = false;
  let tokens = BURST;
  let bytes = BYTE_BURST;
  let afterwards: (() => void) | undefined;
  let filledAt = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const reject = (entry: Entry, code: string, message: string) => entry.settle(undefined, new InnkeeperError(code, message));

  function refill(): void {
    const at = performance.now();
    tokens = Math.min(BURST, tokens + ((at - filledAt) * rate) / 1000);
    bytes = Math.min(BYTE_BURST, bytes + ((at - filledAt) * BYTE_RATE) / 1000);
    filledAt = at;
  }

  function check(text: string): void {
    if (LONE_SURROGATE.test(text)) throw new InnkeeperError("bad_json", "a text holds half of a surrogate pair");
    if (isTooDeep(text)) throw new InnkeeperError("too_deep", `JSON may nest ${MAX_DEPTH} deep`);
    // Sent, it would end the session with 1009 (S4).
    if (bytesOf(text, maxBytes) > maxBytes) throw new InnkeeperError("message_too_big", `a message may have ${maxBytes} bytes`);
  }

  function pump(): void {
    clearTimeout(timer);
    refill();
    for (const entry of [...entries]) {
      if (entry.isOut) continue;
      // One message may overdraw the bytes: it may be longer than all that may be written at once.
      if (tokens < 1 || bytes < 0) {
        timer = setTimeout(pump, tokens < 1 ? 1000 / rate : Math.ceil((-bytes * 1000) / BYTE_RATE) + 1);
        return;
      }
      const id = entry.id ?? lastId + 1;
      const text = `{"id":${id},${entry.text.slice(1)}`;
      const size = bytesOf(text, 0);
      if (size > maxBytes) {
        reject(entry, "message_too_big", `a message may have ${maxBytes} bytes`);
        continue;
      }
      if (!write(text)) return;
      if (entry.id === undefined) {
        entry.id = lastId = id;
        sent();
      }
      entry.isOut = true;
      tokens--;
      bytes -= size;
    }
    const run = afterwards;
    afterwards = undefined;
    run?.();
  }

  function settle(id: number, receipt: Receipt | undefined, error?: unknown): boolean {
    const entry = entries.find((entry) => entry.id === id);
    entry?.settle(receipt, error);
    return entry !== undefined;
  }

  return {
    get size() {
      return entries.length;
    },
    add(frame, options) {
      return new Promise((resolve, fail) => {
        // Now, not when it is written: what the caller changes later is another message.
        const text = JSON.stringify(frame);
        const { ttl, signal } = options;
        // The server's answer to such a frame names no `id`: nobody could be told.
        check(text);
        if (entries.length >= limit) throw new InnkeeperError("overflow", `${limit} messages are unconfirmed`);
        signal?.throwIfAborted();
        let expiry: ReturnType<typeof setTimeout> | undefined;
        const abort = () => entry.settle(undefined, signal?.reason);
        const entry: Entry = {
          text,
          addedAt: performance.now(),
          options,
          isOut: false,
          settle(receipt, error) {
            const place = entries.indexOf(entry);
            if (place < 0) return;
            entries.splice(place, 1);
            clearTimeout(expiry);
            signal?.removeEventListener("abort", abort);
            if (receipt) resolve(receipt);
            else fail(error);
          },
        };
        if (ttl !== undefined) {
          expiry = setTimeout(() => {
            if (entry.id === undefined) reject(entry, "expired", `not sent within ${ttl} ms`);
          }, ttl);
        }
        signal?.addEventListener("abort", abort);
        entries.push(entry);
        pump();
      });
    },
    spare(size) {
      refill();
      if (tokens < BURST / 2 || bytes < BYTE_BURST / 2) return false;
      tokens--;
      bytes -= size;
      return true;
    },
    check,
    whenWritten(run) {
      afterwards = run;
      pump();
    },
    confirm: (id, seq) => settle(id, { seq }),
    refuse: (id, error) => settle(id, undefined, error),
    welcomed({ resume, last_id, max_message_bytes }, isSameEpoch) {
      maxBytes = max_message_bytes;
      // Never below what was used: an `id` names one message, whatever became of the room.
      lastId = Math.max(lastId, last_id);
      for (const entry of [...entries]) {
        const { id, options, addedAt } = entry;
        if (id !== undefined && resume === "new") {
          // The seat was lost in between, the log was not: it may be in there, and nobody would know it for the same.
          reject(entry, "unconfirmed", "the seat was lost before the answer came; it may have been applied");
          continue;
        }
        const isApplied = id !== undefined && isSameEpoch && id <= last_id;
        // Its echo is among what follows. With another verdict that may be gone: sent again, it gets an `ack`.
        entry.isOut = isApplied && resume === "continuous";
        if (isApplied) continue;
        if (wasWelcomed && options.dropIfStale && performance.now() - addedAt >= (options.ttl ?? 0)) {
          reject(entry, "stale", "the connection was lost before it was applied");
        } else if (!isSameEpoch) entry.id = undefined;
      }
      wasWelcomed = true;
      // Those with an `id` come first in the list, and ids must rise: fresh ones are given in the same order.
      pump();
    },
    close(why) {
      clearTimeout(timer);
      for (const entry of [...entries]) entry.settle(undefined, why);
    },
  };
}
