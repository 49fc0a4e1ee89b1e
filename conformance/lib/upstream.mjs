//! Owns `Upstream`: a market-data feed or realtime API on this machine, whose every connection a check plays itself.

import { WebSocketServer } from "ws";

import { PATIENCE, Deviation } from "./peer.mjs";

export class Upstream {
  #legs = [];
  #waiting = [];

  static async start() {
    const upstream = new Upstream();
    upstream.server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => false });
    upstream.server.on("connection", (socket, request) => {
      const leg = { socket, headers: request.headers, url: request.url, frames: [], waiting: [], ended: null };
      socket.on("message", (data, isBinary) => {
        leg.frames.push(isBinary ? data : data.toString());
        leg.waiting.splice(0).forEach((wake) => wake());
      });
      socket.on("close", (code, reason) => {
        leg.ended = { code, reason: reason.toString() };
        leg.waiting.splice(0).forEach((wake) => wake());
      });
      upstream.#legs.push(leg);
      upstream.#waiting.splice(0).forEach((wake) => wake());
    });
    await new Promise((resolve) => upstream.server.on("listening", resolve));
    upstream.url = `ws://127.0.0.1:${upstream.server.address().port}`;
    return upstream;
  }

  get connections() {
    return this.#legs.length;
  }

  async #until(list, is, what) {
    const end = Date.now() + PATIENCE;
    for (let found; ;) {
      if ((found = is())) return found;
      if (Date.now() > end) throw new Deviation(`the upstream never sees ${what}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 200);
        list.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  /** The connection of this number, counted from 1. */
  leg(number = 1) {
    return this.#until(this.#waiting, () => this.#legs[number - 1], `connection ${number}`);
  }

  /** The next frame of a leg that fits. */
  frame(leg, fits = () => true) {
    return this.#until(
      leg.waiting,
      () => {
        const at = leg.frames.findIndex(fits);
        return at >= 0 && { data: leg.frames.splice(0, at + 1)[at] };
      },
      "a frame",
    ).then(({ data }) => data);
  }

  closed(leg) {
    return this.#until(leg.waiting, () => leg.ended, "the close");
  }

  stop() {
    this.#legs.forEach(({ socket }) => socket.terminate());
    this.server.close();
  }
}
