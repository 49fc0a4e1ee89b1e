//! Owns the seam between what is said and what carries it: one connection that takes and gives text.
//! Called by `link`; whoever adds another way to the server (SSE and POST) adds another `Transport`.

/** A connection that is being opened or open. After `close` nothing it hears matters. */
export interface Line {
  send(text: string): void;
  close(): void;
}

/** What a connection tells, from a later turn than the one it was opened in. */
export interface Listener {
  opened(): void;
  text(text: string): void;
  /** Once, at the end; 1006 when there was no close frame. */
  closed(code: number, reason: string): void;
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
  send(text: string): void;
  close(): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

export function webSockets(WebSocket: WebSocketConstructor): Transport {
  return {
    open(url, { opened, text, closed }) {
      const socket = new WebSocket(url);
      socket.onopen = opened;
      socket.onmessage = ({ data }) => typeof data === "string" && text(data);
      // `close` follows; without a handler `ws` would throw.
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }) => closed(code, reason);
      return {
        // While it closes, a browser drops what is sent and `ws` throws.
        send: (text) => socket.readyState === 1 && socket.send(text),
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
