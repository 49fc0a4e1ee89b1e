//! Owns values that matter only while they are new (S8): paced, the newest of each name, dropped where the line is full.
//! Used by `room`.

import type { Outbox } from "./outbox.js";

/** Names that may wait for their turn at a time; the oldest goes first. */
const MAX_NAMES = 100;
/** With so many bytes in the socket the network does not keep up: what is new now would arrive old. */
const CONGESTED_BYTES = 64 * 1024;
const RETRY_MS = 25;

export interface Volatiles {
  /** `false`: dropped, since there is no connection, or it is congested. `key` is what a newer value takes the place of. */
  put(key: string, text: string): boolean;
  /** There is no connection any more. */
  clear(): void;
}

export function createVolatiles(
  outbox: Pick<Outbox, "spare">,
  line: { readonly buffered: number; send(text: string): boolean },
): Volatiles {
  const waiting = new Map<string, string>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  function clear(): void {
    waiting.clear();
    clearTimeout(timer);
    timer = undefined;
  }

  function pump(): void {
    timer = undefined;
    for (const [key, text] of waiting) {
      if (line.buffered > CONGESTED_BYTES) return clear();
      if (!outbox.spare(text.length)) {
        timer = setTimeout(pump, RETRY_MS);
        return;
      }
      waiting.delete(key);
      if (!line.send(text)) return clear();
    }
  }

  return {
    put(key, text) {
      if (line.buffered > CONGESTED_BYTES) return false;
      // It keeps its place in the line, so that a busy name does not starve.
      waiting.set(key, text);
      for (const oldest of waiting.keys()) if (waiting.size > MAX_NAMES) waiting.delete(oldest);
      if (timer === undefined) pump();
      return true;
    },
    clear,
  };
}
