//! Owns the seam between what is said and what carries it: one connection that takes and gives text.
//! Called by `link`; whoever adds another way to the server (SSE and POST) adds another `Transport`.

import { InnkeeperError } from "./error.js";

/** A connection that is being opened or open. After `close` nothing it hears matters. */
export interface Line {
  /** Bytes that wait to be passed on to the network. */
  readonly buffered: number;
  send(data: string | ArrayBuffer): void;
  close(): void;
}

/** What a connection tells, from a later turn than the one it was opened in. */
export interface Listener {
  opened(): void;
  data(data: string | ArrayBuffer): void;
  /** Once, at the end; 1006 when there was no close frame. */
  closed(code: number, reason: string): void;
  /** In place of `closed`, where the browser tells only that it failed. `isFinal`: it always will. */
  failed(why: InnkeeperError, isFinal: boolean): void;
}

/** The server's answer (A8) to an attempt that never became a connection. */
export interface Refusal {
  status: number;
  code: string;
  message: string;
}

export interface Transport {
  /** Throws when the URL or the page's rules make any attempt pointless. */
  open(url: string, listener: Listener): Line;
  /** Asks why an attempt failed; `undefined`: nobody says. */
  explain(url: string): Promise<Refusal | undefined>;
}

/** As much of the WHATWG WebSocket as is used; `ws` fits too. */
export interface WebSocketLike {
  readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  /** Where it is missing, congestion is not noticed. */
  readonly bufferedAmount?: number;
  /** Set to `arraybuffer`. */
  binaryType?: any;
  send(data: any): void;
  close(): void;
}

export type WebSocketConstructor = new (url: string, protocol?: string) => WebSocketLike;

/** Offered with each connection (P3): tools and gateways see by it what is spoken here. */
const SUBPROTOCOL = "innkeeper.v1.json";

/** `close` follows `error` in the same turn or the next ones; where it does not come, nothing else will. */
const CLOSE_MS = 1_000;
const SILENT = "the socket failed without a word; the page's rules or an extension may forbid the address";

/** Of a WebSocket's address or of what a policy's report names; reports name some by a scheme alone. */
function hostOf(url: string): string {
  return /^\w+:\/\/([^/?#]*)/.exec(url)?.[1] ?? "";
}

export function webSockets(WebSocket: WebSocketConstructor): Transport {
  return {
    open(url, { opened, data, closed, failed }) {
      const { document } = globalThis as { document?: Document };
      const host = hostOf(url);
      let isForbidden = false;
      const violated = (event: { effectiveDirective: string; blockedURI: string }) => {
        if (event.effectiveDirective === "connect-src" && hostOf(event.blockedURI) === host) isForbidden = true;
      };
      let fuse: ReturnType<typeof setTimeout> | undefined;
      const socket = new WebSocket(url, SUBPROTOCOL);
      /** `end` is what nothing may follow. */
      const settle = (end?: () => void) => {
        clearTimeout(fuse);
        document?.removeEventListener("securitypolicyviolation", violated);
        if (!end) return;
        socket.onclose = null;
        if (isForbidden)
          failed(new InnkeeperError("blocked", `the page's Content-Security-Policy does not allow ${host}`), true);
        else end();
      };
      document?.addEventListener("securitypolicyviolation", violated);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        settle();
        opened();
      };
      socket.onmessage = (event) => data(event.data);
      // Without a handler `ws` would throw.
      socket.onerror = () => {
        clearTimeout(fuse);
        fuse = setTimeout(() => settle(() => failed(new InnkeeperError("connection_lost", SILENT), false)), CLOSE_MS);
      };
      socket.onclose = ({ code, reason }) => settle(() => closed(code, reason));
      return {
        get buffered() {
          return socket.bufferedAmount ?? 0;
        },
        // While it closes, a browser drops what is sent and `ws` throws.
        send: (data) => socket.readyState === 1 && socket.send(data),
        close: () => socket.close(),
      };
    },
    async explain(url) {
      try {
        // A page does not see how its upgrade was answered, but a plain request to the same place is refused for the
        // same reason. POST, since that has an `Origin` on the same origin, too; without the query, which has a secret.
        const answer = await fetch(url.replace(/^ws/, "http").replace(/\?.*/, ""), { method: "POST" });
        const { error } = await answer.json();
        return answer.status === 426 ? undefined : { status: answer.status, ...error };
      } catch {
        return undefined;
      }
    },
  };
}
