//! Owns a small server of rooms that keeps to the contract, or breaks it in one named way. It is for the suite's own test only.

import { createServer } from "node:http";

import { WebSocketServer } from "ws";

/** What the server may do wrong. */
export const LIES = ["nothing", "doubles", "drops", "reorders", "applies-twice", "deaf-pings", "false-continuous"];

export async function liar(lie) {
  const rooms = new Map();
  const server = createServer((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => {
    const url = new URL(request.url, "http://liar");
    const [, , name, player] = url.pathname.split("/");
    const room = rooms.get(name) ?? { seq: 0, members: new Map(), last: new Map(), log: [], count: 0 };
    rooms.set(name, room);
    const tell = (to, frame) => to.send(JSON.stringify(frame));
    const all = (frame) => {
      const event = { ...frame, seq: (room.seq += 1) };
      room.log.push(event);
      room.count += 1;
      const isTurn = event.type === "message" && room.count % 7 === 0;
      if (lie === "drops" && isTurn) return;
      for (const member of room.members.values()) {
        if (lie === "reorders" && isTurn) setTimeout(() => tell(member, event), 30);
        else tell(member, event);
        if (lie === "doubles" && isTurn) tell(member, event);
      }
    };
    const session = url.searchParams.get("session");
    const seen = Number(url.searchParams.get("seq"));
    tell(socket, {
      type: "welcome",
      protocol: 1,
      game: name,
      player,
      epoch: "e",
      session: `secret-${player}`,
      resume: session ? "continuous" : "new",
      seq: room.seq,
      last_id: room.last.get(player) ?? 0,
      players: { ...Object.fromEntries([...room.members.keys()].map((key) => [key, "joined"])), [player]: "joined" },
      heartbeat: { interval_ms: 30_000, timeout_ms: 10_000 },
      grace_ms: 60_000,
      max_message_bytes: 65_536,
      ...(session ? {} : { state: {} }),
    });
    const missed = session ? room.log.filter((event) => event.seq > seen) : [];
    if (lie === "false-continuous") missed.splice(5, 1);
    missed.forEach((event) => tell(socket, event));
    room.members.set(player, socket);
    all({ type: "presence", player, status: session ? "back" : "joined" });
    socket.on("close", () => {
      if (room.members.get(player) !== socket) return;
      room.members.delete(player);
      all({ type: "presence", player, status: "away" });
    });
    socket.on("message", (data) => {
      const frame = JSON.parse(data);
      if (frame.type === "ping" && lie !== "deaf-pings")
        tell(socket, { type: "pong", nonce: frame.nonce, time: Date.now() });
      if (frame.type === "send" && frame.id === 0)
        tell(socket, { type: "error", code: "invalid_field", message: "id" });
      else if (
        frame.type === "send" &&
        frame.id &&
        frame.id <= (room.last.get(player) ?? 0) &&
        lie !== "applies-twice"
      ) {
        tell(socket, {
          type: "ack",
          id: frame.id,
          seq: room.log.find((event) => event.id === frame.id && event.from === player)?.seq,
        });
      } else if (frame.type === "send") {
        room.last.set(player, frame.id ?? 0);
        all({ type: "message", from: player, id: frame.id, data: frame.data });
      }
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () => (sockets.clients.forEach((client) => client.terminate()), server.close()),
  };
}
