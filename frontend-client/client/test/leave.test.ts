//! Owns the proofs of how a page's own clients follow one another: what is given up, kept and forgotten.

import { describe, expect, it, vi } from "vitest";
import { FakeSocket, client, codeOf, joined, useFakes } from "./fake.js";

useFakes();

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function storage() {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
}

describe("leave()", () => {
  it("before the welcome gives back the seat that the welcome brings, and the next client waits for that", async () => {
    const first = client();
    const joining = first.join();
    const leaving = first.room.leave();
    const second = client().join();
    await wait(500);
    expect(FakeSocket.all).toHaveLength(1);
    const socket = FakeSocket.last.welcome();
    expect(socket.said).toEqual([{ type: "leave" }]);
    socket.end(1000, "left");
    await leaving;
    expect(await codeOf(joining)).toBe("left");
    await wait(0);
    expect(FakeSocket.all).toHaveLength(2);
    expect(FakeSocket.last.query.has("session")).toBe(false);
    FakeSocket.last.welcome();
    expect((await second).status).toBe("online");
  });

  it("while an attempt waits to be made again is over at once", async () => {
    const first = client();
    const joining = first.join();
    FakeSocket.last.end();
    await first.room.leave();
    expect(await codeOf(joining)).toBe("left");
    await wait(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("goes after what was sent before it", async () => {
    const { room, socket } = await joined();
    for (let n = 0; n < 120; n++) room.send(n).catch(() => undefined);
    const leaving = room.leave();
    expect(socket.said.some(({ type }) => type === "leave")).toBe(false);
    await wait(1_000);
    expect(socket.said.map(({ data, type }) => data ?? type)).toEqual([...Array(120).keys(), "leave"]);
    socket.end(1000, "left");
    await leaving;
  });

  it("a server that never answers the attempt is not waited for for ever", async () => {
    const first = client();
    void first.join().catch(() => undefined);
    FakeSocket.last.open();
    const leaving = first.room.leave();
    await wait(10_000);
    await leaving;
    expect(FakeSocket.last.isClosed).toBe(true);
  });

  it("forgets the session only when the server has confirmed it", async () => {
    for (const isConfirmed of [true, false]) {
      const store = storage();
      const { room, socket } = await joined({ storage: store });
      await wait(1_000);
      const leaving = room.leave();
      if (isConfirmed) socket.end(1000, "left");
      else socket.end(1006);
      await leaving;
      expect(room.reason).toMatchObject({ code: "left", closeCode: isConfirmed ? 1000 : undefined });
      expect(store.kept.size).toBe(isConfirmed ? 0 : 1);
    }
  });
});

describe("close()", () => {
  it("keeps the seat: says nothing, and the next client goes on where this one was", async () => {
    for (const store of [undefined, storage()]) {
      FakeSocket.all = [];
      const { room, socket } = await joined({ storage: store }, { state: { a: 1 } });
      socket.say({ type: "message", seq: 2, from: "bob", data: "hi" });
      await wait(1_000);
      room.close();
      expect(socket.said).toEqual([]);
      expect(socket.isClosed).toBe(true);
      expect(room.reason?.code).toBe("left");
      socket.end(1005);
      const joining = client({ storage: store }).join();
      await wait(0);
      expect(FakeSocket.last.query.get("session")).toBe("e1.secret");
      expect(FakeSocket.last.query.get("seq")).toBe("2");
      FakeSocket.last.welcome({ resume: "continuous", seq: 2 });
      const next = await joining;
      expect(next.state).toEqual({ a: 1 });
      next.close();
      FakeSocket.last.end(1005);
    }
  });

  it("before the welcome, then a new client: it waits for the socket, and a taken seat is its own", async () => {
    const first = client();
    const joining = first.join();
    const socket = FakeSocket.last.open();
    first.room.close();
    expect(await codeOf(joining)).toBe("left");
    const second = client().join();
    await wait(100);
    expect(FakeSocket.all).toHaveLength(1);
    socket.end(1005);
    await wait(0);
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.open().end(4002, "already_connected");
    await wait(250);
    FakeSocket.last.welcome();
    expect((await second).status).toBe("online");
  });

  it("a socket that does not end holds the next client up for 2 s", async () => {
    const first = client();
    void first.join().catch(() => undefined);
    FakeSocket.last.open();
    first.room.close();
    void client().join();
    await wait(1_999);
    expect(FakeSocket.all).toHaveLength(1);
    await wait(1);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("a minute later a taken seat is somebody else's", async () => {
    const { room, socket } = await joined();
    room.close();
    socket.end(1005);
    await wait(60_001);
    const second = client({ storage: storage() }).join();
    FakeSocket.last.open().end(4002, "already_connected");
    expect(await codeOf(second)).toBe("already_connected");
  });
});
