//! Owns the proofs that a handler which is added late misses nothing, and that what is held for it has a bound.

import { expect, it, vi } from "vitest";
import { joined as withHandlers, FakeSocket, client, useFakes } from "./fake.js";

useFakes();

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const message = (seq: number, data: unknown = seq) => ({ type: "message", seq, from: "bob", data });
const patch = (seq: number) => ({ type: "patch", seq, from: "bob", patch: { n: seq } });

/** A room without any handler. */
async function bare() {
  const joining = client().join();
  FakeSocket.last.welcome();
  const room = await joining;
  await wait(0);
  return { room, socket: FakeSocket.last };
}

it("frames are held until the first `message` handler, and reach the handlers of its turn in order", async () => {
  const { room, socket } = await bare();
  socket
    .say(message(2))
    .say(patch(3))
    .say({ type: "presence", seq: 4, player: "bob", status: "joined" })
    .say(message(5));
  await wait(5_000);
  expect(room.state, "what can be read is up to date").toEqual({ n: 3 });
  expect([...room.players.keys()]).toEqual(["alice", "bob"]);
  const told: unknown[] = [];
  room.on("message", ({ seq }) => told.push(seq));
  room.on("patch", ({ seq }) => told.push(seq));
  room.on("presence", (frame) => told.push("seq" in frame && frame.seq));
  socket.say(message(6));
  expect(told, "not in the middle of the turn").toEqual([]);
  await wait(0);
  socket.say(message(7));
  expect(told).toEqual([2, 3, 4, 5, 6, 7]);
});

it("a room without a `message` handler tells its state all the same", async () => {
  const { room, socket } = await bare();
  const told: unknown[] = [];
  room.on("state", (state) => told.push(state));
  await wait(0);
  expect(told).toEqual([{}]);
  socket.say(patch(2)).say(patch(3));
  expect(told).toEqual([{}, { n: 2 }, { n: 3 }]);
});

it("once there was a `message` handler nothing is held for others", async () => {
  const { room, socket } = await withHandlers();
  const off = room.on("message", () => undefined);
  socket.say(message(2));
  off();
  const late: unknown[] = [];
  room.on("message", ({ seq }) => late.push(seq));
  await wait(0);
  expect(late).toEqual([]);
});

it.each([
  ["events", 600, "x"],
  ["bytes", 20, "x".repeat(60_000)],
])(
  "what is held is bounded in %s: past that all of it is let go, and what follows is told at once",
  async (_, count, data) => {
    const { room, socket } = await bare();
    for (let seq = 2; seq < 2 + count; seq++) socket.say(message(seq, data));
    const told: number[] = [];
    room.on("message", ({ seq }) => told.push(seq));
    await wait(0);
    expect(told).toEqual([]);
    socket.say(message(1_000, data));
    expect(told).toEqual([1_000]);
    expect(room.seq).toBe(1_000);
  },
);
