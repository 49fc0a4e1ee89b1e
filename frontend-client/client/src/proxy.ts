//! Owns a client's side of a proxy (contract section 7): frames both ways, and the way back to the same upstream.
//! Made by `connect(…).proxy(…)`; the connection under it is `link`'s.

import { createEmitter, type Handler } from "./emitter.js";
import { InnkeeperError } from "./error.js";
import { createLink, type LinkOptions, type RelayFrame } from "./link.js";
import type { ProxyWelcome, Resumed, Status, StatusChange } from "./types.js";

export interface ProxyOptions {
  /** Parameters for the upstream, e.g. `{ model: "gpt-realtime" }`; the proxy's description says which pass. */
  query?: Record<string, string> | undefined;
}

export interface ProxyEvents {
  /** A frame of the upstream, text or binary. */
  message: string | ArrayBuffer;
  status: StatusChange;
  /**
   * Back again. `continuous`: the same upstream, nothing is missing. `snapshot`: the same one, `lost` names frames that
   * are gone. `reset`: another upstream, which knows nothing of what was said before.
   */
  resumed: Resumed;
  /** The server passed something on to nobody, or frames were lost on their way to the upstream (`unsent`). */
  error: InnkeeperError;
}

export interface Proxy {
  readonly name: string;
  readonly status: Status;
  readonly reason: InnkeeperError | undefined;
  /** Bytes that were sent and have not left this machine. */
  readonly buffered: number;
  /** Returns what takes the handler away again. */
  on<K extends keyof ProxyEvents>(event: K, handler: Handler<ProxyEvents[K]>): () => void;
  /** Sends a frame, now or with the next connection. Throws `overflow` when a MiB waits already. */
  send(data: string | ArrayBuffer | ArrayBufferView): void;
  /** Ends the session with the upstream. */
  close(): void;
}

/** What is kept of what was sent, for an upstream that did not get it before the line broke. */
const KEPT_BYTES = 1024 * 1024;
/** The server's own frames are shorter. */
const OWN_UNITS = 16 * 1024;

interface Kept {
  number: number;
  data: string | ArrayBuffer;
  size: number;
}

export function createProxy(
  base: string,
  name: string,
  { query = {} }: ProxyOptions = {},
  linkOptions: LinkOptions,
): Proxy {
  const { on, emit } = createEmitter<ProxyEvents>();
  let session: string | undefined;
  // Frames of the upstream that arrived, and the last of ours that was numbered and that was written.
  let received = 0;
  let numbered = 0;
  let written = 0;
  let kept: Kept[] = [];
  let bytes = 0;
  let isFirst = true;
  let wasOpen = false;

  const link = createLink(linkOptions, {
    url() {
      const all = new URLSearchParams(query);
      if (session !== undefined) {
        all.set("session", session);
        all.set("seq", String(received));
      }
      return `${base}/proxy/${name}?${all}`;
    },
    mayOverlap: () => session !== undefined,
    opened() {
      isFirst = true;
      // Where there is a session its welcome says what arrived. Where there is none, nothing of the server's need come.
      if (session !== undefined) return false;
      received = 0;
      if (wasOpen) restart({ verdict: "reset" }, 0);
      wasOpen = true;
      queueMicrotask(flush);
      return true;
    },
    relayed,
    welcome: (frame) => "proxy" in frame && welcomed(frame),
    frame: (frame) => frame.type === "error" && emit("error", new InnkeeperError(frame.code, frame.message)),
    changed() {
      const { status, reason, retryInMs } = link;
      emit("status", { status, reason, retryInMs });
    },
    failed: (error) => emit("error", error),
  });

  /** Ours are told from the upstream's by their shape; whatever is not is the upstream's, and counts. */
  function relayed(data: string | ArrayBuffer): RelayFrame | undefined {
    const own = typeof data === "string" && data.length < OWN_UNITS ? ownFrame(data, isFirst) : undefined;
    isFirst = false;
    if (own) return own;
    received++;
    emit("message", data);
    return undefined;
  }

  function welcomed({ session: secret, resume: verdict, reason, lost, next, last_id }: ProxyWelcome): void {
    const isResume = session !== undefined;
    session = secret;
    received = next - 1;
    if (isResume) resume({ verdict, reason, lost }, last_id);
  }

  function resume(resumed: Resumed, lastId: number): void {
    const { status, reason, retryInMs } = link;
    emit("status", { status, reason, retryInMs });
    if (resumed.verdict === "reset" || resumed.verdict === "new") restart(resumed, lastId);
    else {
      drop(lastId);
      written = lastId;
      emit("resumed", resumed);
      const first = kept[0]?.number ?? numbered + 1;
      if (first > lastId + 1) {
        emit(
          "error",
          new InnkeeperError("unsent", `${first - lastId - 1} frames were lost on their way to the upstream`),
        );
      }
    }
    flush();
  }

  /** Another upstream: what the old one was told means nothing to it. What waited follows whatever a handler says first. */
  function restart(resumed: Resumed, lastId: number): void {
    const waiting = kept.filter(({ number }) => number > written);
    kept = [];
    bytes = 0;
    written = numbered = lastId;
    emit("resumed", resumed);
    for (const { data, size } of waiting) keep(data, size);
  }

  function keep(data: string | ArrayBuffer, size: number): void {
    kept.push({ number: ++numbered, data, size });
    bytes += size;
  }

  function drop(upTo: number): void {
    const rest = kept.filter(({ number }) => number > upTo);
    bytes = rest.reduce((sum, { size }) => sum + size, 0);
    kept = rest;
  }

  function flush(): void {
    for (const { number, data } of kept) {
      if (number <= written) continue;
      if (!link.send(data)) return;
      written = number;
    }
  }

  link.start();
  return {
    name,
    on,
    get status() {
      return link.status;
    },
    get reason() {
      return link.reason;
    },
    get buffered() {
      return link.buffered;
    },
    send(given) {
      if (link.status === "closed") throw link.reason;
      const data = typeof given === "string" ? given : copyOf(given);
      const size = typeof data === "string" ? data.length : data.byteLength;
      // What was written may be forgotten for it, what was not may not.
      while (bytes + size > KEPT_BYTES && kept[0] && kept[0].number <= written) drop(kept[0].number);
      if (bytes > 0 && bytes + size > KEPT_BYTES)
        throw new InnkeeperError("overflow", "too much waits for a connection");
      keep(data, size);
      flush();
    },
    close: () => link.stop(new InnkeeperError("left", "the proxy was closed")),
  };
}

/** The caller may use its buffer again. */
function copyOf(data: ArrayBuffer | ArrayBufferView): ArrayBuffer {
  if (data instanceof ArrayBuffer) return data.slice(0);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice().buffer;
}

function ownFrame(text: string, isFirst: boolean): RelayFrame | undefined {
  if (!/^\{"type":"(welcome|error|going_away)"/.test(text)) return undefined;
  try {
    const frame = JSON.parse(text);
    const { type, code, error } = frame;
    if (type === "welcome")
      return isFirst && typeof frame.proxy === "string" && frame.protocol === 1 ? frame : undefined;
    if (type === "going_away") return typeof frame.reconnect_after_ms === "number" ? frame : undefined;
    // X6; a server before it sends no `error` at all, which is where upstreams that have such frames put theirs.
    return typeof code === "string" && (error === undefined || error.type === "innkeeper") ? frame : undefined;
  } catch {
    return undefined;
  }
}
