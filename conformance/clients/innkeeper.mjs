//! Owns the adapter of @innkeeper/client for the client half: JSON lines in, JSON lines out.

import { createInterface } from "node:readline";

import WebSocket from "ws";

import { connect } from "../../frontend-client/client/dist/index.js";

/** The library names a close that no error explained `closed_CODE`. */
const closeCode = (code) => Number(/^closed_(\d+)$/.exec(code)?.[1]) || code;

const say = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
let room = null;

const actions = {
  async connect({ url, game, player }) {
    const client = connect(url, { game, player, WebSocket });
    room = client.room;
    room.on("message", ({ seq, from, data }) => say("message", { seq, from, data }));
    room.on("resumed", ({ verdict, reason, lost }) => say("resumed", { verdict, reason, lost }));
    room.on("status", ({ status, reason }) => status === "closed" && say("closed", { code: closeCode(reason?.code) }));
    await client.join();
    say("welcomed");
  },
  async send({ data, ref }) {
    try {
      say("confirmed", { ref, seq: (await room.send(data)).seq });
    } catch (error) {
      say("failed", { ref, code: error.code });
    }
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const { do: action, ...fields } = JSON.parse(line);
  actions[action](fields).catch((error) => say("failed", { code: error.code ?? String(error) }));
});
