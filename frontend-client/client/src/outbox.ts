//! Owns what is to be sent: bounded, in order, each with its promise, and each applied at most once (S2).
//! Used by `room`, which says when there is a connection and what the server answered.

import { passable } from "./check.js";
import { InnkeeperError } from "./error.js";
import { createPace } from "./pace.js";
import type { Receipt, SendOptions, Welcome } from "./types.js";

export interface OutboxOptions {
  /** How many may be unconfirmed at a time. */
  limit: number;
  /** Frames per second, after a burst: below the server's MESSAGE_RATE. */
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

/** A UTF-16 unit takes at most three bytes. */
const bytesOf = (text: string, enough: number) =>
  text.length * 3 <= enough ? text.length * 3 : new TextEncoder().encode(text).length;

export function createOutbox({ limit, rate, write }: OutboxOptions, sent: () => void): Outbox {
  const entries: Entry[] = [];
  const pace = createPace(rate);
  let lastId = 0;
  let maxBytes = Infinity;
  let wasWelcomed = false;
  let afterwards: (() => void) | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const reject = (entry: Entry, code: string, message: string) =>
    entry.settle(undefined, new InnkeeperError(code, message));

  function check(text: string): void {
    passable(text);
    // Sent, it would end the session with 1009 (S4).
    if (bytesOf(text, maxBytes) > maxBytes)
      throw new InnkeeperError("message_too_big", `a message may have ${maxBytes} bytes`);
  }

  function pump(): void {
    clearTimeout(timer);
    for (const entry of [...entries]) {
      if (entry.isOut) continue;
      const wait = pace.wait();
      if (wait > 0) {
        timer = setTimeout(pump, wait);
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
      pace.spend(size);
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
    spare: pace.spare,
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
