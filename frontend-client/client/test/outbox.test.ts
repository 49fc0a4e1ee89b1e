//! Owns the proofs of what is sent: once, in order, bounded, each with its answer.

import { describe, expect, it, vi } from "vitest";
import type { Room } from "../src/index.js";
import { dice } from "./dice.js";
import { FakeSocket, client, codeOf, joined, resumed, useFakes } from "./fake.js";

useFakes();

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const echo = (id: number, seq: number) => ({ type: "message", seq, from: "alice", id, data: null });
const written = (socket = FakeSocket.last) => socket.said.map(({ id, data }) => [id, data]);

describe("answers", () => {
  it("a send resolves with its place when it comes back", async () => {
    const { room, socket } = await joined();
    const sending = room.send({ text: "hi" }, { to: ["bob"] });
    expect(socket.said).toEqual([{ id: 1, type: "send", data: { text: "hi" }, to: ["bob"] }]);
    expect(room.pending).toBe(1);
    socket.say({ ...echo(1, 2), from: "bob" });
    expect(room.pending, "somebody else's id is another id").toBe(1);
    socket.say(echo(1, 3));
    expect(await sending).toEqual({ seq: 3 });
    expect(room.pending).toBe(0);
    expect(room.counters).toMatchObject({ sent: 1, confirmed: 1 });
  });

  it("a patch is a send; its conflict is an error with a code", async () => {
    const { room, socket } = await joined();
    const patching = room.patch({ a: 1 }, { ifSeq: 0 });
    expect(socket.said).toEqual([{ id: 1, type: "patch", patch: { a: 1 }, if_seq: 0 }]);
    socket.say({ type: "error", code: "conflict", message: "changed", id: 1 });
    await expect(patching).rejects.toMatchObject({ name: "InnkeeperError", code: "conflict", message: "changed" });
  });

  it("an error that answers no message is told", async () => {
    const { socket, heard } = await joined();
    socket
      .say({ type: "error", code: "unsupported", message: "" })
      .say({ type: "error", code: "conflict", message: "", id: 9 });
    expect(heard.filter(([event]) => event === "error").map(([, error]) => (error as { code: string }).code)).toEqual([
      "unsupported",
      "conflict",
    ]);
  });

  it("ids begin behind last_id and only rise", async () => {
    const { room } = await joined({}, { last_id: 41 });
    void room.send("a");
    void room.send("b");
    expect(written()).toEqual([
      [42, "a"],
      [43, "b"],
    ]);
  });

  it("takes data as it is now, and undefined for null", async () => {
    const { room } = await joined();
    const data = { n: 1 };
    FakeSocket.last.end();
    void room.send(data);
    void room.send(undefined);
    data.n = 2;
    await resumed({});
    expect(written()).toEqual([
      [1, { n: 1 }],
      [2, null],
    ]);
    const circle: { self?: object } = {};
    circle.self = circle;
    await expect(room.send(circle)).rejects.toThrow(TypeError);
  });

  it("what the server would end the session for is not sent", async () => {
    const { room, socket } = await joined({}, { max_message_bytes: 100 });
    expect(await codeOf(room.send("é".repeat(50)))).toBe("message_too_big");
    void room.send("é".repeat(30));
    expect(written()).toEqual([[1, "é".repeat(30)]]);
    expect(new TextEncoder().encode(JSON.stringify(socket.said[0])).length).toBeLessThanOrEqual(100);
  });

  it("what nests too deep for the server is not sent, brackets in texts do not count", async () => {
    const { room, socket } = await joined();
    const nested = (depth: number): unknown => (depth === 0 ? '[{"\\' : [nested(depth - 1)]);
    expect(await codeOf(room.send(nested(127)))).toBe("too_deep");
    void room.send(nested(126));
    void room.send(["[".repeat(300), '"[{', ...Array(200).fill([])]);
    expect(socket.said).toHaveLength(2);
  });

  it("a number that is none, or no place in a log, is an error", async () => {
    const { room, socket } = await joined();
    for (const ifSeq of [NaN, -1, 1.5, 2 ** 53, Infinity, "7" as unknown as number]) {
      expect(await codeOf(room.patch({ a: 1 }, { ifSeq })), String(ifSeq)).toBe("invalid_argument");
    }
    for (const ttl of [NaN, -1, Infinity, 2 ** 31]) {
      expect(await codeOf(room.send(1, { ttl })), String(ttl)).toBe("invalid_argument");
    }
    expect(socket.said).toEqual([]);
    for (const [option, value] of [
      ["queueLimit", -1],
      ["queueLimit", 1.5],
      ["messageRate", 0],
      ["messageRate", NaN],
      ["pingIntervalMs", NaN],
      ["backoffCapMs", -5],
      ["welcomeTimeoutMs", 2 ** 31],
    ] as const) {
      expect(() => client({ [option]: value }), `${option} ${value}`).toThrow(
        expect.objectContaining({ code: "invalid_argument" }),
      );
    }
  });

  it("n2 a text with half of a surrogate pair is refused here: the server's answer would name no message", async () => {
    const { room, socket } = await joined();
    expect(await codeOf(room.send({ text: "\ud83d" }))).toBe("bad_json");
    expect(await codeOf(room.patch({ ["\udc00"]: 1 }))).toBe("bad_json");
    void room.send(["🐺", "\\ud83d", "\\\\udc00"]);
    expect(socket.said).toHaveLength(1);
  });

  it("a spectator's send is refused without asking", async () => {
    const { room, socket } = await joined({ spectate: true }, { role: "spectator" });
    expect(await codeOf(room.send(1))).toBe("forbidden");
    expect(socket.said).toEqual([]);
  });

  it("the end of the session answers everything that waits", async () => {
    const { room, socket } = await joined();
    const both = [room.send(1), room.patch({ a: 1 })];
    socket.end(4010, "kicked");
    expect(await Promise.all(both.map(codeOf))).toEqual(["kicked", "kicked"]);
    expect(await codeOf(room.send(2))).toBe("kicked");
  });
});

describe("through a loss", () => {
  it("continuous: what was applied waits for its echo, the rest is sent again under its id, what is new comes last", async () => {
    const { room, socket } = await joined();
    const sends = ["a", "b", "c"].map((data) => room.send(data));
    socket.end();
    sends.push(room.send("d"));
    const next = await resumed({ last_id: 1, seq: 2 });
    expect(written(next)).toEqual([
      [2, "b"],
      [3, "c"],
      [4, "d"],
    ]);
    for (let id = 1; id <= 4; id++) next.say(echo(id, id + 1));
    expect(await Promise.all(sends)).toEqual([2, 3, 4, 5].map((seq) => ({ seq })));
    expect(room.counters).toMatchObject({ sent: 4, confirmed: 4 });
  });

  it("snapshot: the echo may be gone, so an ack is asked for", async () => {
    const { room } = await joined();
    const sending = room.send("a");
    const next = await resumed({ resume: "snapshot", lost: [2, 3], seq: 3, last_id: 1 });
    expect(written(next)).toEqual([[1, "a"]]);
    next.say({ type: "ack", id: 1, seq: null });
    expect(await sending).toEqual({ seq: null });
  });

  it("reset to another epoch: what was not confirmed is sent under fresh ids above every one used", async () => {
    const { room, socket } = await joined();
    const first = room.send("a");
    socket.say(echo(1, 2));
    await first;
    const sends = [room.send("b"), room.send("c")];
    const next = await resumed({ resume: "reset", reason: "room_restarted", epoch: "e2", last_id: 2, seq: 1 });
    expect(written(next)).toEqual([
      [4, "b"],
      [5, "c"],
    ]);
    next.say(echo(4, 2)).say(echo(5, 3));
    expect(await Promise.all(sends)).toEqual([{ seq: 2 }, { seq: 3 }]);
  });

  it("reset within the epoch: the server's last_id still tells what it has", async () => {
    const { room } = await joined();
    void room.send("a");
    void room.send("b");
    const next = await resumed({ resume: "reset", reason: "seq_ahead", last_id: 1, seq: 1 });
    expect(written(next)).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
  });

  it("new: what might be doubled is given back, what was never sent is sent", async () => {
    const { room, socket } = await joined();
    const uncertain = room.send("a");
    socket.end();
    void room.send("b");
    const next = await resumed({ resume: "new", reason: "session_expired", session: "e1.other" });
    expect(await codeOf(uncertain)).toBe("unconfirmed");
    expect(written(next)).toEqual([[2, "b"]]);
  });

  it("a send from a handler of the resume does not overtake what is older", async () => {
    const { room } = await joined();
    room.on("status", ({ status }) => status === "online" && void room.send("from status"));
    room.on("resumed", () => void room.send("from resumed"));
    void room.send("old");
    expect(written(await resumed({}))).toEqual([
      [1, "old"],
      [2, "from status"],
      [3, "from resumed"],
    ]);
  });

  it("whatever is cut wherever: everything is applied once and in order", async () => {
    const { seed, roll } = dice();
    const { room } = await joined({ queueLimit: 1_000, messageRate: 1e6 });
    // The server's half: it applies what is above last_id, and keeps a log that it replays.
    const log: { id: number; data: unknown; seq: number }[] = [];
    let lastId = 0;
    let heardUpTo = 0;
    const seqOf = () => log.at(-1)?.seq ?? 1;
    const sends: Promise<unknown>[] = [];
    for (let round = 0; round < 400; round++) {
      const socket = FakeSocket.last;
      for (let n = roll(4); n > 0; n--) sends.push(room.send(sends.length));
      for (const frame of socket.said.slice(heardUpTo, heardUpTo + roll(6))) {
        heardUpTo++;
        const id = frame.id as number;
        if (id > lastId) {
          lastId = id;
          log.push({ id, data: frame.data, seq: seqOf() + 1 });
          if (roll(4) > 0) continue;
          // The echoes up to here arrive; the others are still under way when the connection breaks.
          for (const event of log) if (event.seq > room.seq) socket.say({ ...echo(event.id, event.seq) });
        } else socket.say({ type: "ack", id, seq: log.find((event) => event.id === id)?.seq });
      }
      if (roll(5) === 0) {
        const next = await resumed({ last_id: lastId, seq: seqOf() });
        heardUpTo = 0;
        for (const event of log) if (event.seq > room.seq) next.say({ ...echo(event.id, event.seq) });
      }
    }
    const last = await resumed({ last_id: lastId, seq: seqOf() });
    for (const frame of last.said) log.push({ id: frame.id as number, data: frame.data, seq: seqOf() + 1 });
    for (const event of log) if (event.seq > room.seq) last.say(echo(event.id, event.seq));
    expect(
      log.map(({ data }) => data),
      `seed ${seed}`,
    ).toEqual(sends.map((_, n) => n));
    const places = (await Promise.all(sends)) as { seq: number }[];
    expect(
      places.map(({ seq }) => seq),
      `seed ${seed}`,
    ).toEqual(log.map(({ seq }) => seq));
    expect(room.counters.doubled).toBe(0);
  });
});

describe("bounds", () => {
  async function offline(): Promise<Room> {
    const { room, socket } = await joined({ queueLimit: 3 });
    socket.end();
    return room;
  }

  it("past the limit a send is rejected, and the others are not harmed", async () => {
    const room = await offline();
    const sends = [1, 2, 3, 4].map((n) => room.send(n));
    expect(await codeOf(sends[3] as Promise<unknown>)).toBe("overflow");
    await resumed({});
    expect(written().map(([, data]) => data)).toEqual([1, 2, 3]);
    expect(await codeOf(room.send(5)), "what is sent and not confirmed counts, too").toBe("overflow");
    FakeSocket.last.say(echo(1, 2));
    void room.send(6);
    expect(written().at(-1)).toEqual([4, 6]);
  });

  it("a message that waits longer than its ttl is given back, and was never sent", async () => {
    const room = await offline();
    const code = codeOf(room.send("old", { ttl: 100 }));
    void room.send("new");
    await wait(100);
    expect(await code).toBe("expired");
    await resumed({});
    expect(written()).toEqual([[1, "new"]]);
  });

  it("a ttl does not take back what was sent", async () => {
    const { room, socket } = await joined();
    const sending = room.send("a", { ttl: 100 });
    await wait(200);
    expect(written(await resumed({}))).toEqual([[1, "a"]]);
    expect(socket).not.toBe(FakeSocket.last);
    FakeSocket.last.say(echo(1, 2));
    expect(await sending).toEqual({ seq: 2 });
  });

  it("dropIfStale: nothing that is too old is sent after a reconnect, but what was applied is confirmed", async () => {
    const { room, socket } = await joined();
    const applied = room.send("applied", { dropIfStale: true });
    const lost = codeOf(room.send("lost", { dropIfStale: true, ttl: 100 }));
    const young = room.send("young", { dropIfStale: true, ttl: 60_000 });
    socket.end();
    const queued = codeOf(room.send("queued", { dropIfStale: true }));
    const next = await resumed({ last_id: 1, seq: 2 });
    expect(await Promise.all([lost, queued])).toEqual(["stale", "stale"]);
    expect(written(next)).toEqual([[3, "young"]]);
    next.say(echo(1, 2)).say(echo(3, 3));
    expect(await Promise.all([applied, young])).toEqual([{ seq: 2 }, { seq: 3 }]);
  });

  it("dropIfStale does not drop what waits for the first welcome", async () => {
    const me = client();
    void me.join();
    void me.room.send("first", { dropIfStale: true });
    FakeSocket.last.welcome();
    expect(written()).toEqual([[1, "first"]]);
  });

  it("a signal takes back what was not sent, and stops waiting for what was", async () => {
    const room = await offline();
    const control = new AbortController();
    const waiting = room.send("a", { signal: control.signal });
    void room.send("b");
    control.abort("never mind");
    await expect(waiting).rejects.toBe("never mind");
    await expect(room.send("c", { signal: control.signal })).rejects.toBe("never mind");
    const next = await resumed({});
    expect(written(next)).toEqual([[1, "b"]]);
    const later = new AbortController();
    const sent = room.send("d", { signal: later.signal });
    later.abort();
    await expect(sent).rejects.toThrow(/abort/i);
    expect(written(await resumed({}))).toEqual([[1, "b"]]);
  });

  it("bytes are paced, too, and one message may be longer than all that may be written at once", async () => {
    const { room, socket } = await joined({}, { max_message_bytes: 10_000_000 });
    const big = "x".repeat(400_000);
    for (let n = 0; n < 4; n++) room.send(big).catch(() => undefined);
    expect(socket.said).toHaveLength(2);
    // 100 kB are owed, at 200 kB a second.
    await wait(400);
    expect(socket.said).toHaveLength(2);
    await wait(200);
    expect(socket.said).toHaveLength(3);
    await wait(2_000);
    expect(socket.said).toHaveLength(4);
  });

  it("a full queue is written at a pace that the server allows (S5)", async () => {
    const { room, socket } = await joined();
    socket.end();
    for (let n = 0; n < 256; n++) room.send(n).catch(() => undefined);
    const next = await resumed({});
    expect(written(next)).toHaveLength(100);
    await wait(1_000);
    const inOneSecond = written(next).length - 100;
    expect(inOneSecond).toBeGreaterThan(60);
    expect(inOneSecond).toBeLessThanOrEqual(81);
    next.say({ type: "ping", time: 1 });
    await wait(1_500);
    expect(
      written(next)
        .filter(([id]) => id !== undefined)
        .map(([, data]) => data),
    ).toEqual([...Array(256).keys()]);
  });
});
