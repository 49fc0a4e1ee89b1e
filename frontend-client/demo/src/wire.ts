//! Owns the scissors: sockets that can be cut for real, and cannot be opened again until the cut is over.
//! Called by session.ts, which gives `Socket` to the client library, and by the strip's button.

type Listener = (event: Event) => void;

/** What stands in for a socket while the line is cut: it fails like one without a network. */
class DeadSocket extends EventTarget {
  readyState: number = WebSocket.CONNECTING;
  readonly bufferedAmount = 0;
  readonly protocol = "";
  readonly extensions = "";
  binaryType = "blob";
  onopen: Listener | null = null;
  onmessage: Listener | null = null;
  onerror: Listener | null = null;
  onclose: Listener | null = null;

  constructor(readonly url: string) {
    super();
    setTimeout(() => {
      if (this.readyState !== WebSocket.CONNECTING) return;
      // As if lost in its first moment: what never opened would make the library ask the server why, past the cut.
      this.#tell("open", new Event("open"));
      this.close();
    });
  }
  send(): void {
    throw new DOMException("the line is cut", "InvalidStateError");
  }
  close(): void {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    this.#tell("close", new CloseEvent("close", { code: 1006, wasClean: false }));
  }
  #tell(name: "open" | "close", event: Event): void {
    this[`on${name}`]?.(event);
    this.dispatchEvent(event);
  }
}

export class Wire {
  #sockets = new Set<WebSocket>();
  #cutUntil = 0;
  readonly Socket: typeof WebSocket;

  constructor() {
    const wire = this;
    // A constructor may return another object: the library asks for a socket and gets a dead one while the line is cut.
    this.Socket = class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        if (wire.cutFor > 0) return new DeadSocket(String(url)) as unknown as WebSocket as never;
        super(url, protocols);
        wire.#sockets.add(this);
        this.addEventListener("close", () => wire.#sockets.delete(this));
      }
    };
  }

  /** Milliseconds until sockets may be opened again; 0 when the line is whole. */
  get cutFor(): number {
    return Math.max(0, this.#cutUntil - performance.now());
  }

  /** Closes every socket at once, without a word to the room, and lets none be opened for `ms`. */
  cut(ms: number): void {
    this.#cutUntil = performance.now() + ms;
    for (const socket of this.#sockets) socket.close();
  }

  mend(): void {
    this.#cutUntil = 0;
  }
}
