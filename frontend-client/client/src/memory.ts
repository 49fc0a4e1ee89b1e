//! Owns what survives a reload of the page: the session's secret, and the room as it was seen last.
//! Used by `room`.

import type { Json } from "./types.js";

/** As much of the Web Storage API as is used; `sessionStorage` fits: it belongs to one tab, as a seat does. */
export interface StorageLike {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** `state` is that of `seq`: a resume brings only what came after it. */
export interface Snapshot {
  session: string;
  epoch: string;
  seq: number;
  state: Json;
}

export interface Memory {
  load(): Snapshot | undefined;
  /** Soon: what changes many times a second is written once a second, and when the page goes. */
  touch(): void;
  /** Ends it. `forget` removes what was kept; `pass` gives it to the next client of this page, storage or not. */
  close(how: "forget" | "keep" | "pass"): void;
}

const INTERVAL_MS = 1_000;
/** How many seats are remembered for the next client without a storage. */
const PASSED = 16;
const passed = new Map<string, Snapshot>();

/** Storage may be full or forbidden: then nothing is remembered, and nothing else fails. */
export function createMemory(storage: StorageLike | undefined, key: string, read: () => Snapshot): Memory {
  let timer: ReturnType<typeof setTimeout> | undefined;

  const attempt = <T>(work: (storage: StorageLike) => T): T | undefined => {
    try {
      return storage && work(storage);
    } catch {
      return undefined;
    }
  };
  const save = () => {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    attempt((storage) => storage.setItem(key, JSON.stringify(read())));
  };
  // Not in Node.
  if (storage) globalThis.addEventListener?.("pagehide", save);

  return {
    load() {
      const own = passed.get(key);
      passed.delete(key);
      return (
        attempt((storage) => {
          const found = JSON.parse(storage.getItem(key) ?? "null") as Snapshot | null;
          return found && typeof found.session === "string" && Number.isSafeInteger(found.seq) ? found : undefined;
        }) ?? own
      );
    },
    touch() {
      if (storage) timer ??= setTimeout(save, INTERVAL_MS);
    },
    close(how) {
      if (how !== "forget") save();
      clearTimeout(timer);
      timer = undefined;
      globalThis.removeEventListener?.("pagehide", save);
      if (how === "forget") attempt((storage) => storage.removeItem(key));
      const last = read();
      if (how !== "pass" || storage || last.session === "") return;
      passed.set(key, last);
      for (const oldest of passed.keys()) if (passed.size > PASSED) passed.delete(oldest);
    },
  };
}

/** For tests, which have nothing to pass on. */
export function forgetPassed(): void {
  passed.clear();
}
