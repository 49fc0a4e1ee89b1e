//! Owns the proofs of values that matter only while they are new: paced, newest of each name, dropped when the line is full.

import { expect, it, vi } from "vitest";
import { InnkeeperError } from "../src/index.js";
import { FakeSocket, joined, resumed, useFakes } from "./fake.js";

useFakes();

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const values = (socket: FakeSocket, name: string) =>
  socket.said.filter((frame) => frame.volatile === name).map(({ data }) => data);

it("they are paced within the server's rate, and of each name the newest is sent", async () => {
  const { room, socket } = await joined();
  for (let n = 0; n < 2_000; n++) {
    expect(room.volatile("a", n)).toBe(true);
    room.volatile("b", n);
    if (n % 2) await wait(1);
  }
  // The burst, and 80 a second.
  expect(socket.said.length).toBeGreaterThan(100);
  expect(socket.said.length).toBeLessThanOrEqual(50 + 80 + 1);
  await wait(100);
  for (const name of ["a", "b"]) {
    const seen = values(socket, name) as number[];
    expect(seen.at(-1)).toBe(1_999);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.length, "both have their turn").toBeGreaterThan(50);
  }
});

it("they leave room for messages, which go first", async () => {
  const { room, socket } = await joined();
  for (let n = 0; n < 500; n++) room.volatile(`name ${n % 150}`, n);
  const before = socket.said.length;
  for (let n = 0; n < 40; n++) room.send(n).catch(() => undefined);
  expect(socket.said.length).toBe(before + 40);
  await wait(5_000);
  // No more names wait at a time than are bounded.
  expect(socket.said.length).toBeLessThanOrEqual(before + 40 + 100);
  expect(vi.getTimerCount(), "only the heartbeat's").toBe(1);
});

it("while the socket is congested they are dropped", async () => {
  const { room, socket } = await joined();
  for (let n = 0; n < 200; n++) room.volatile(`name ${n}`, n);
  const before = socket.said.length;
  socket.bufferedAmount = 70_000;
  expect(room.volatile("cursor", 1)).toBe(false);
  await wait(2_000);
  expect(socket.said.length, "what waited is old, too").toBe(before);
  socket.bufferedAmount = 0;
  expect(room.volatile("cursor", 2)).toBe(true);
  expect(values(socket, "cursor")).toEqual([2]);
});

it("a lost line drops them, and another one brings none of them back", async () => {
  const { room, socket } = await joined();
  for (let n = 0; n < 200; n++) room.volatile(`name ${n}`, n);
  socket.end();
  expect(room.volatile("cursor", 1)).toBe(false);
  const next = await resumed({});
  await wait(2_000);
  expect(next.said).toEqual([]);
});

it("to whom it goes is part of its name", async () => {
  const { room, socket } = await joined();
  for (let n = 0; n < 60; n++) room.volatile("fill", n);
  room.volatile("hand", 1, { to: ["bob"] });
  room.volatile("hand", 2, { to: ["carol"] });
  await wait(500);
  expect(values(socket, "hand")).toEqual([1, 2]);
});

it("what the server would end the session for is an error", async () => {
  const { room, socket } = await joined({}, { max_message_bytes: 200 });
  const codeOf = (run: () => unknown) => {
    try {
      return String(run());
    } catch (error) {
      return (error as InnkeeperError).code;
    }
  };
  expect(codeOf(() => room.volatile("", 1))).toBe("invalid_argument");
  expect(codeOf(() => room.volatile("é".repeat(33), 1))).toBe("invalid_argument");
  expect(codeOf(() => room.volatile("a", "x".repeat(200)))).toBe("message_too_big");
  expect(codeOf(() => room.volatile("a", "\ud800"))).toBe("bad_json");
  expect(socket.said).toEqual([]);
});
