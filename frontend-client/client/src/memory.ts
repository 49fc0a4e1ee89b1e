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
  /** Ends it; `forget` removes what was kept. */
  close(forget: boolean): void;
}

const INTERVAL_MS = 1_000;

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
    load: () =>
      attempt((storage) => {
        const found = JSON.parse(storage.getItem(key) ?? "null") as Snapshot | null;
        return found && typeof found.session === "string" && Number.isSafeInteger(found.seq) ? found : undefined;
      }),
    touch() {
      if (storage) timer ??= setTimeout(save, INTERVAL_MS);
    },
    close(forget) {
      if (!forget) save();
      clearTimeout(timer);
      timer = undefined;
      globalThis.removeEventListener?.("pagehide", save);
      if (forget) attempt((storage) => storage.removeItem(key));
    },
  };
}
