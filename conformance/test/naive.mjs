//! Owns a client that connects once, sends and forgets: what the contract asks of clients beyond that must fail.

import { createInterface } from "node:readline";

import WebSocket from "ws";

const say = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
let socket = null;
let lastId = 0;
const refs = new Map();

createInterface({ input: process.stdin }).on("line", (line) => {
  const { do: action, url, game, player, data, ref } = JSON.parse(line);
  if (action === "send") {
    refs.set((lastId += 1), ref);
    socket.send(JSON.stringify({ type: "send", id: lastId, data }));
    return;
  }
  socket = new WebSocket(`${url.replace("http", "ws")}/ws/${game}/${player}`);
  socket.on("close", (code) => say("closed", { code }));
  socket.on("message", (text) => {
    const frame = JSON.parse(text);
    if (frame.type === "welcome") say("welcomed");
    if (frame.type !== "message") return;
    if (frame.from === player && refs.has(frame.id)) say("confirmed", { ref: refs.get(frame.id), seq: frame.seq });
    say("message", { seq: frame.seq, from: frame.from, data: frame.data });
  });
});
