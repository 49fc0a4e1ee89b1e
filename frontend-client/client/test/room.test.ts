//! Owns the proofs of what a room is told: order, folding, resumes and what is counted.

import { describe, expect, it, vi } from "vitest";
import { connect } from "../src/index.js";
import { FakeSocket, client, joined, listen, resumed, useFakes } from "./fake.js";

useFakes();

const message = (seq: number, from = "bob", data: unknown = seq) => ({ type: "message", seq, from, data });
const seqs = (heard: [string, unknown][]) =>
  heard
    .filter(([event]) => event === "message" || event === "patch")
    .map(([, value]) => (value as { seq: number }).seq);

describe("what is heard", () => {
  it("messages, patches and presence arrive in order, and the state is there before its patch is told", async () => {
    const { room, socket } = await joined({}, { state: { a: 1 } });
    const told: unknown[] = [];
    room.on("message", ({ data }) => told.push(data));
    room.on("patch", ({ patch }) => told.push([patch, room.state]));
    room.on("state", (state) => told.push(state));
    room.on("presence", (presence) => told.push("player" in presence && [presence.player, room.players.get("bob")]));
    socket
      .say(message(2, "bob", "hi"))
      .say({ type: "patch", seq: 3, from: "bob", patch: { a: null, b: 2 } })
      .say({ type: "presence", seq: 4, player: "bob", status: "joined" })
      .say({ type: "presence", seq: 5, player: "bob", status: "away" })
      .say({ type: "presence", seq: 6, player: "bob", status: "back" })
      .say({ type: "presence", seq: 7, player: "bob", status: "left", reason: "leave" });
    const presence = ["joined", "away", "joined", undefined].map((status) => ["bob", status]);
    expect(told).toEqual(["hi", [{ a: null, b: 2 }, { b: 2 }], { b: 2 }, ...presence]);
    expect(room.seq).toBe(7);
    expect(room.playerCount).toBe(1);
  });

  it("in a big room there is only a count", async () => {
    const { room, socket, heard } = await joined({}, { players: {}, player_count: 501 });
    expect(room.playerCount).toBe(501);
    socket.say({ type: "presence", count: 502 });
    expect(room.playerCount).toBe(502);
    expect(heard.at(-1)).toEqual(["presence", { type: "presence", count: 502 }]);
    expect(room.counters.seen).toBe(0);
  });

  it("s9a a room that is no crowd any more has its list again, and a crowd has none", async () => {
    const { room, socket } = await joined({}, { players: { alice: "joined", bob: "away" } });
    const maps: string[][] = [];
    room.on("players", (players) => maps.push([...players].map(String)));
    await vi.advanceTimersByTimeAsync(0);
    socket.say({ type: "presence", count: 501 });
    expect([room.players.size, room.playerCount]).toEqual([0, 501]);
    socket.say({ type: "presence", count: 499 });
    socket.say({
      type: "presence",
      players: { alice: "joined", bob: "joined", carol: { status: "away", name: "Carol" } },
      count: 3,
    });
    expect([...room.players]).toEqual([
      ["alice", "joined"],
      ["bob", "joined"],
      ["carol", "away"],
    ]);
    expect([...room.names]).toEqual([["carol", "Carol"]]);
    socket.say({ type: "presence", seq: 9, player: "bob", status: "left", reason: "leave" });
    expect(room.playerCount).toBe(2);
    expect(maps).toEqual([[], ["alice,joined", "bob,joined", "carol,away"], ["alice,joined", "carol,away"]]);
  });

  it("players are another map after each change, which is told, and none where nothing changed", async () => {
    const { room, socket } = await joined();
    const before = room.players;
    const told: unknown[] = [];
    room.on("players", (players) => told.push(players));
    await vi.advanceTimersByTimeAsync(0);
    socket.say(message(2));
    expect(room.players).toBe(before);
    socket.say({ type: "presence", seq: 3, player: "bob", status: "joined" });
    expect(room.players).not.toBe(before);
    expect(before.has("bob")).toBe(false);
    expect(told).toEqual([room.players]);
    expect(told[0]).toBe(room.players);
  });

  it("s11 names are asked for and given, and kept up to date", async () => {
    const players = { alice: { status: "joined", name: "Alice" }, bob: { status: "away" } } as const;
    const { room, socket } = await joined({ name: "Alice 🐺", names: true }, { players });
    expect(socket.query.get("names")).toBe("1");
    expect(socket.query.get("name")).toBe("Alice 🐺");
    expect([...room.players]).toEqual([
      ["alice", "joined"],
      ["bob", "away"],
    ]);
    expect([...room.names]).toEqual([["alice", "Alice"]]);
    socket.say({ type: "presence", seq: 2, player: "bob", status: "back", name: "Bob" });
    expect(room.names.get("bob")).toBe("Bob");
    socket.say({ type: "presence", seq: 3, player: "bob", status: "left", reason: "leave" });
    expect([...room.names.keys()]).toEqual(["alice"]);
    expect((await joined()).socket.url, "not unless it was asked for").not.toMatch(/name/);
  });

  it("volatile values have handlers of their own and no place in the log", async () => {
    const { room, socket, heard } = await joined();
    heard.length = 0;
    socket.say({ type: "message", from: "bob", volatile: "cursor", data: [1, 2] });
    expect(heard.map(([event]) => event)).toEqual(["volatile"]);
    expect(room.counters.seen).toBe(0);
    expect(room.volatile("cursor", [3, 4], { to: ["bob"] })).toBe(true);
    expect(socket.said).toEqual([{ type: "send", volatile: "cursor", data: [3, 4], to: ["bob"] }]);
    socket.end();
    expect(room.volatile("cursor", [5, 6])).toBe(false);
  });

  it("handlers that are added after join() miss nothing, though much came in the same packet", async () => {
    const joining = client().join();
    FakeSocket.last.welcome().say(message(2)).say(message(3)).say({ type: "ping", time: 1 });
    // Some more turns than one: an application awaits through functions of its own.
    const room = await (async () => await (async () => await joining)())();
    const heard = listen(room);
    await vi.advanceTimersByTimeAsync(0);
    expect(seqs(heard)).toEqual([2, 3]);
    expect(heard[0]).toEqual(["state", {}]);
    expect(FakeSocket.last.said, "the heartbeat does not wait for handlers").toEqual([{ type: "pong" }]);
  });

  it("a handler that throws disturbs nobody", async () => {
    const { room, socket } = await joined();
    const thrown: unknown[] = [];
    vi.stubGlobal("queueMicrotask", (task: () => void) => {
      try {
        task();
      } catch (error) {
        thrown.push(error);
      }
    });
    room.on("message", () => {
      throw new Error("mine");
    });
    const later: unknown[] = [];
    const off = room.on("message", (frame) => later.push(frame.seq));
    socket.say(message(2)).say(message(3));
    off();
    socket.say(message(4));
    expect(later).toEqual([2, 3]);
    expect(thrown).toHaveLength(3);
    expect(room.seq).toBe(4);
  });
});

describe("resumes", () => {
  it("tells `resumed` before what was missed, and that before anything live", async () => {
    const { room, socket, heard } = await joined();
    socket.say(message(2));
    heard.length = 0;
    const next = await resumed({ seq: 5 });
    expect(next.query.get("seq")).toBe("2");
    next
      .say(message(3))
      .say({ type: "patch", seq: 5, from: "bob", patch: { a: 1 } })
      .say(message(6));
    expect(heard.filter(([event]) => event !== "status")).toEqual([
      ["resumed", { verdict: "continuous", reason: undefined, lost: undefined }],
      ["message", expect.objectContaining({ seq: 3 })],
      ["patch", expect.objectContaining({ seq: 5 })],
      ["state", { a: 1 }],
      ["message", expect.objectContaining({ seq: 6 })],
    ]);
    expect(room.counters).toMatchObject({ seen: 4, resumed: 1, lost: 0, doubled: 0 });
  });

  it("hands nothing out twice, and counts it", async () => {
    const { room, socket, heard } = await joined();
    socket.say(message(2)).say(message(3));
    (await resumed({ seq: 3 })).say(message(3)).say(message(4));
    expect(seqs(heard)).toEqual([2, 3, 4]);
    expect(room.counters).toMatchObject({ seen: 3, doubled: 1 });
  });

  it("snapshot: what is lost is named, the rest follows, and is not folded into the newer state again", async () => {
    const { room, heard } = await joined({}, { state: { n: 0 } });
    const next = await resumed({
      resume: "snapshot",
      reason: "history_too_short",
      lost: [2, 5],
      seq: 8,
      state: { n: 8 },
    });
    const told: unknown[] = [];
    room.on("patch", () => told.push(room.state));
    next
      .say({ type: "patch", seq: 7, from: "bob", patch: { n: 7 } })
      .say({ type: "patch", seq: 9, from: "bob", patch: { n: 9 } });
    expect(told).toEqual([{ n: 8 }, { n: 9 }]);
    expect(heard).toContainEqual(["resumed", { verdict: "snapshot", reason: "history_too_short", lost: [2, 5] }]);
    expect(room.counters.lost).toBe(4);
    // Another loss before anything came: what is gone is not asked for, and not counted, again.
    const after = await resumed({ resume: "snapshot", reason: "history_too_short", lost: [10, 11], seq: 12 });
    await resumed({ seq: 12 });
    expect(after.query.get("seq")).toBe("9");
    expect(FakeSocket.last.query.get("seq")).toBe("11");
    expect(room.counters.lost).toBe(6);
  });

  it("reset: everything is the new room's", async () => {
    const { room, socket, heard } = await joined({}, { seq: 50, state: { old: true } });
    socket.say(message(51));
    await resumed({
      resume: "reset",
      reason: "room_restarted",
      epoch: "e2",
      session: "e2.s",
      seq: 3,
      state: { fresh: true },
    });
    expect(room.seq).toBe(3);
    expect(room.state).toEqual({ fresh: true });
    expect(heard).toContainEqual(["resumed", { verdict: "reset", reason: "room_restarted", lost: undefined }]);
    FakeSocket.last.say(message(4));
    expect(seqs(heard)).toEqual([51, 4]);
    const next = await resumed({ seq: 4 });
    expect(next.query.get("session")).toBe("e2.s");
  });

  it("new: a seat that timed out missed what happened since", async () => {
    const { room, heard } = await joined({}, { seq: 10 });
    await resumed({ resume: "new", reason: "session_expired", seq: 14, session: "e1.other", state: { n: 1 } });
    expect(heard).toContainEqual(["resumed", { verdict: "new", reason: "session_expired", lost: [11, 14] }]);
    expect(room.counters.lost).toBe(4);
    expect(room.seq).toBe(14);
  });

  it("players are those of the welcome, and the replay does not take them back in time", async () => {
    const { room } = await joined({}, { players: { alice: "joined", bob: "joined" } });
    const next = await resumed({ seq: 5, players: { alice: "joined" } });
    next.say({ type: "presence", seq: 3, player: "bob", status: "away" });
    expect([...room.players]).toEqual([["alice", "joined"]]);
    next.say({ type: "presence", seq: 6, player: "carol", status: "joined" });
    expect([...room.players.keys()]).toEqual(["alice", "carol"]);
  });
});

describe("leaving", () => {
  it("waits for the server, which answers what was sent before", async () => {
    const { room, socket } = await joined();
    const sending = room.send("bye");
    const leaving = room.leave();
    expect(socket.said.at(-1)).toEqual({ type: "leave" });
    socket.say({ ...message(2, "alice"), id: 1 }).end(1000, "left");
    await leaving;
    expect(await sending).toEqual({ seq: 2 });
    expect(room.reason).toMatchObject({ code: "left", closeCode: 1000 });
    await expect(room.send("more")).rejects.toMatchObject({ code: "left" });
    await room.leave();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not come back when the connection breaks meanwhile, nor wait for ever", async () => {
    const first = await joined();
    const leaving = first.room.leave();
    first.socket.end();
    await leaving;
    expect(first.room.status).toBe("closed");
    const second = await joined();
    const waiting = second.room.leave();
    await vi.advanceTimersByTimeAsync(2_000);
    await waiting;
    expect(second.socket.isClosed).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a page that is loaded again", () => {
  function storage() {
    const kept = new Map<string, string>();
    return {
      kept,
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
  }

  it("resumes its session with the state it had", async () => {
    const store = storage();
    const { socket } = await joined({ storage: store }, { state: { a: 1 } });
    socket.say({ type: "patch", seq: 2, from: "bob", patch: { b: 2 } });
    await vi.advanceTimersByTimeAsync(1_000);
    const joining = client({ storage: store }).join();
    expect(FakeSocket.last.query.get("session")).toBe("e1.secret");
    expect(FakeSocket.last.query.get("seq")).toBe("2");
    FakeSocket.last
      .welcome({ resume: "continuous", seq: 3 })
      .say({ type: "patch", seq: 3, from: "bob", patch: { a: null } });
    const room = await joining;
    const heard = listen(room);
    expect(room.state).toEqual({ a: 1, b: 2 });
    await vi.advanceTimersByTimeAsync(0);
    expect(heard.map(([event]) => event)).toEqual(["resumed", "patch", "state"]);
    expect(room.state).toEqual({ b: 2 });
  });

  it("writes what it has when the page goes", async () => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
    const store = storage();
    const { socket } = await joined({ storage: store });
    socket.say(message(2));
    page.dispatchEvent(new Event("pagehide"));
    expect(JSON.parse([...store.kept.values()][0] ?? "")).toEqual({
      session: "e1.secret",
      epoch: "e1",
      seq: 2,
      state: {},
    });
  });

  it("forgets a seat that was given up, and keeps one that another tab took", async () => {
    for (const [code, size] of [
      [1000, 0],
      [4010, 0],
      [4000, 1],
    ] as const) {
      const store = storage();
      const { socket } = await joined({ storage: store });
      await vi.advanceTimersByTimeAsync(1_000);
      expect(store.kept.size).toBe(1);
      socket.end(code);
      expect(store.kept.size, String(code)).toBe(size);
    }
  });

  it("begins anew where storage is broken, forbidden or holds nonsense", async () => {
    const broken = {
      getItem: () => "{",
      setItem: () => {
        throw new Error("full");
      },
      removeItem: () => {
        throw new Error("forbidden");
      },
    };
    const { room, socket } = await joined({ storage: broken });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.url).toBe("ws://server/ws/g/alice?");
    socket.end(1000);
    expect(room.status).toBe("closed");
    await joined({ storage: { ...storage(), getItem: () => '{"session":7,"seq":"x"}' } });
  });
});

it("addresses: an origin, a WebSocket origin, one with a path and slashes", () => {
  for (const [url, expected] of [
    ["https://play.example", "wss://play.example/ws/g/a"],
    ["ws://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws/g/a"],
    ["HTTP://host/inn//", "ws://host/inn/ws/g/a"],
  ] as const) {
    void connect(url, { game: "g", player: "a", WebSocket: FakeSocket }).join();
    expect(FakeSocket.last.url.replace(/\?.*/, "")).toBe(expected);
  }
});
