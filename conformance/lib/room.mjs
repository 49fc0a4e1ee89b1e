//! Owns `ScriptedRoom`: one room of one player, which keeps to the contract until a scenario tells it not to.

import { createServer } from "node:http";

import { WebSocketServer } from "ws";

import { PATIENCE, Deviation } from "./peer.mjs";

export class ScriptedRoom {
  #waiting = [];
  #sockets = null;

  constructor() {
    Object.assign(this, {
      epoch: "epoch-1",
      secret: "secret-1",
      seq: 0,
      lastId: 0,
      log: [],
      visits: [],
      answers: true,
    });
  }

  /** Begins to listen, at the same port as before. */
  async listen() {
    this.http = createServer((_, response) => response.writeHead(503).end());
    this.#sockets = new WebSocketServer({ server: this.http });
    this.#sockets.on("connection", (socket, request) => this.#enter(socket, request));
    await new Promise((resolve, reject) => {
      this.http.on("error", reject);
      this.http.listen(this.port ?? 0, "127.0.0.1", resolve);
    });
    this.port = this.http.address().port;
    return this;
  }

  /** Refuses connections until it listens again; cuts those that are open. */
  async down() {
    this.#sockets.clients.forEach((client) => client.terminate());
    await new Promise((resolve) => this.http.close(resolve));
  }

  #enter(socket, request) {
    const url = new URL(request.url, "http://room");
    const visit = {
      socket,
      at: Date.now(),
      session: url.searchParams.get("session"),
      seq: url.searchParams.has("seq") ? Number(url.searchParams.get("seq")) : null,
      frames: [],
    };
    this.visits.push(visit);
    socket.on("message", (data) => this.#receive(visit, JSON.parse(data)));
    socket.on("close", () => ((visit.isOver = true), this.#wake()));
    const isKnown = visit.session === this.secret;
    const verdict = isKnown ? (this.verdict ?? "continuous") : "new";
    this.#tell(visit, {
      type: "welcome",
      protocol: 1,
      game: "room",
      player: "player",
      epoch: this.epoch,
      session: this.secret,
      resume: verdict,
      ...(verdict === "reset" ? { reason: "the room began anew" } : {}),
      seq: this.seq,
      last_id: this.lastId,
      players: { player: "joined" },
      heartbeat: { interval_ms: 30_000, timeout_ms: 10_000 },
      grace_ms: 60_000,
      max_message_bytes: 65_536,
      ...(verdict === "continuous" ? {} : { state: {} }),
    });
    if (verdict === "continuous")
      this.log.filter(({ seq }) => seq > visit.seq).forEach((event) => this.#tell(visit, event));
    this.#wake();
  }

  #receive(visit, frame) {
    visit.frames.push(frame);
    if (frame.type === "ping") this.#tell(visit, { type: "pong", nonce: frame.nonce, time: Date.now() });
    if (frame.type === "send" && this.answers) {
      if (frame.id <= this.lastId)
        this.#tell(visit, { type: "ack", id: frame.id, seq: this.log.find(({ id }) => id === frame.id)?.seq ?? null });
      else this.#tell(visit, this.append("player", frame.data, frame.id));
    }
    this.#wake();
  }

  #tell(visit, frame) {
    if (visit.socket.readyState === 1) visit.socket.send(JSON.stringify(frame));
  }

  #wake() {
    this.#waiting.splice(0).forEach((wake) => wake());
  }

  /** Appends an event to the log without showing it. */
  append(from, data, id) {
    const event = { type: "message", seq: (this.seq += 1), from, data, ...(id ? { id } : {}) };
    if (id) this.lastId = id;
    this.log.push(event);
    return event;
  }

  /** Shows a frame on the newest connection. */
  show(frame) {
    this.#tell(this.visits.at(-1), frame);
  }

  close(code, reason = "") {
    this.visits.at(-1).socket.close(code, reason);
  }

  cut() {
    this.visits.at(-1).socket.terminate();
  }

  async until(is, what) {
    for (const end = Date.now() + PATIENCE; ;) {
      const found = is();
      if (found) return found;
      if (Date.now() > end) throw new Deviation(`the client never ${what}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#waiting.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  /** The connection of this number, counted from 1. */
  visit(number) {
    return this.until(() => this.visits[number - 1], `makes connection ${number}`);
  }

  /** The frames with these ids, on any connection. */
  sent(visit, ...ids) {
    const has = (id) => visit.frames.find((frame) => frame.type === "send" && frame.id === id);
    return this.until(() => ids.every(has) && ids.map(has), `sends ${ids.join(", ")}`);
  }

  stop() {
    this.#sockets.clients.forEach((client) => client.terminate());
    this.http.close();
  }
}
