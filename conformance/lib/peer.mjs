//! Owns `Peer`: one client's connection, with every frame that came. It uses any WebSocket with the interface of the browsers.

/** How long a check waits for what must come, in milliseconds. */
export let PATIENCE = 10_000;

export const setPatience = (ms) => (PATIENCE = ms);

/** What a check did not find; its message goes into the report. */
export class Deviation extends Error {}

/** Fails the check unless `ok`. */
export function expect(ok, message) {
  if (!ok) throw new Deviation(message);
}

/** Fails the check unless the two are the same JSON. */
export function equal(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  expect(a === b, `${what}: ${a}, expected ${b}`);
}

export class Peer {
  #frames = [];
  #waiting = [];
  #opened;

  /** `make` returns a WebSocket to `url`. */
  constructor(make, url, protocols, options) {
    this.url = url;
    this.ended = null;
    this.socket = make(url, protocols, options);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.#push(typeof data === "string" ? this.#parse(data) : { binary: data });
    this.socket.onclose = ({ code, reason }) => {
      this.ended = { code, reason };
      this.#wake();
    };
    this.#opened = new Promise((resolve) => {
      this.socket.onopen = () => resolve(true);
      this.socket.onerror = () => resolve(false);
      // Browsers hide why an upgrade was refused.
      this.socket.on?.("unexpected-response", (_, { statusCode, headers }) => {
        this.refusal = { status: statusCode, headers };
        resolve(false);
      });
    });
  }

  /** True once the upgrade was accepted, false if it was refused. */
  opened() {
    return this.#opened;
  }

  #parse(text) {
    try {
      return JSON.parse(text);
    } catch {
      return { notJson: text };
    }
  }

  #push(frame) {
    this.#frames.push(frame);
    this.#wake();
  }

  #wake() {
    this.#waiting.splice(0).forEach((wake) => wake());
  }

  /** Resolves when something came or the connection ended; false past the deadline. */
  #more(deadline) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), Math.max(0, deadline - Date.now()));
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  /** The next frame; `null` when the connection ended. */
  async next(within = PATIENCE) {
    const deadline = Date.now() + within;
    while (this.#frames.length === 0) {
      if (this.ended) return null;
      expect(await this.#more(deadline), `nothing came within ${within} ms`);
    }
    return this.#frames.shift();
  }

  /** The next frame of this type, and that fits; frames before it are dropped. */
  async until(type, fits = () => true) {
    const seen = [];
    for (;;) {
      const frame = await this.next();
      if (frame === null) {
        throw new Deviation(
          `closed with ${this.ended.code} before a ${type}; before: ${JSON.stringify(seen.slice(-3))}`,
        );
      }
      if (frame.type === type && fits(frame)) return frame;
      seen.push(frame);
    }
  }

  /** All frames up to the pong of a ping that is sent now, heartbeats left out. */
  async flush() {
    const nonce = `flush-${Math.random()}`;
    this.send({ type: "ping", nonce });
    const frames = [];
    for (;;) {
      const frame = await this.next();
      expect(frame !== null, `closed with ${this.ended?.code} before a pong`);
      if (frame.type === "pong" && frame.nonce === nonce) return frames.filter((frame) => frame.type !== "ping");
      frames.push(frame);
    }
  }

  send(frame) {
    this.socket.send(typeof frame === "object" && !ArrayBuffer.isView(frame) ? JSON.stringify(frame) : frame);
  }

  /** Waits for the end; returns the close and the last `error` before it. */
  async closed() {
    let error = null;
    for (;;) {
      const frame = await this.next();
      if (frame === null) return { ...this.ended, error };
      if (frame.type === "error") error = frame;
    }
  }

  close(code, reason) {
    this.socket.close(code, reason);
  }

  /** Ends the connection without a close frame, where the WebSocket can. */
  cut() {
    if (this.socket.terminate) this.socket.terminate();
    else this.socket.close();
  }
}
