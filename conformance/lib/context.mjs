//! Owns what a check works with: connections, HTTP calls, names that nobody else uses, and servers of its own.

import { Deviation, Peer, expect } from "./peer.mjs";

/** Thrown by a check that cannot run here; the reason goes into the report. */
export class Skip extends Error {}

export class Context {
  #peers = [];

  /** `make` makes a WebSocket; `fetch` an HTTP call; `launch` starts a server with an environment, or is `null`. */
  constructor({ base, make, fetch, launch = null, operatorKey = null }) {
    Object.assign(this, { base, make, fetch, launch, operatorKey });
    this.game = `conformance-${Math.random().toString(36).slice(2, 12)}`;
  }

  /** The same for another server. */
  at(base, operatorKey) {
    return new Context({ ...this, base, operatorKey });
  }

  /** Starts a server with these settings; skips the check if none can be started. */
  async server(settings = {}) {
    if (!this.launch) throw new Skip("needs --start");
    return this.launch(this, settings);
  }

  url(path) {
    return this.base.replace(/^http/, "ws") + path;
  }

  /** A connection whose upgrade was accepted. */
  async open(path, { protocols, headers } = {}) {
    const peer = this.attempt(path, { protocols, headers });
    expect(await peer.opened(), `the upgrade of ${path} was refused`);
    return peer;
  }

  attempt(path, { protocols, headers } = {}) {
    const peer = new Peer(this.make, this.url(path), protocols, { headers });
    this.#peers.push(peer);
    return peer;
  }

  /** A player in this check's game, with `welcome`. */
  async join(player, query = {}, game = this.game) {
    const text = new URLSearchParams(query).toString();
    const peer = await this.open(`/ws/${game}/${player}${text && `?${text}`}`);
    const frame = await peer.next();
    if (frame?.type !== "welcome") {
      throw new Deviation(`${player} got ${JSON.stringify(frame ?? peer.ended)} in place of a welcome`);
    }
    peer.welcome = frame;
    peer.seen = frame.seq;
    return peer;
  }

  /** The same player again, from the last event that it saw. */
  resume(peer, seen, game = this.game) {
    return this.join(peer.welcome.player, { session: peer.welcome.session, seq: String(seen) }, game);
  }

  async http(method, path, { body, headers = {} } = {}) {
    const init = { method, headers: { ...headers }, redirect: "manual" };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers["content-type"] = "application/json";
    }
    const response = await this.fetch(this.base + path, init);
    const text = await response.text();
    let json = null;
    try {
      json = JSON.parse(text);
    } catch {
      // Not every answer is JSON.
    }
    return { status: response.status, headers: response.headers, text, json };
  }

  /** A call of the back end; skips the check without a key. */
  api(method, path, body, headers = {}) {
    if (!this.operatorKey) throw new Skip("needs --operator-key-file");
    return this.http(method, path, { body, headers: { authorization: `Bearer ${this.operatorKey}`, ...headers } });
  }

  done() {
    this.#peers.forEach((peer) => peer.refusal || peer.cut());
  }
}

/** Makes the `run` of a check that has a server of its own. */
export const withServer = (settings, check) => async (context) => {
  const server = await context.server(settings);
  try {
    await check(server.context, server);
  } finally {
    await server.stop();
  }
};
