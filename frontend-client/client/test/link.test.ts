//! Owns the proofs of what follows the end of a connection or an attempt: codes, backoff, patience, late attempts.

import { describe, expect, it, vi } from "vitest";
import { InnkeeperError, connect } from "../src/index.js";
import { FakeSocket, client, codeOf, joined, resumed, useFakes, welcome } from "./fake.js";

useFakes();

const attempts = () => FakeSocket.all.length;
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

it("a14 offers the server's subprotocol, and has its token in the first frame alone", async () => {
  const { socket } = await joined({ token: "secret" });
  expect(socket.protocol).toBe("innkeeper.v1.json");
  expect(socket.url).not.toContain("secret");
  expect(socket.sent[0]).toMatchObject({ type: "auth", token: "secret" });
});

describe("close codes (contract section 4)", () => {
  it.each([1000, 1008, 1009, 4000, 4002, 4003, 4004, 4010, 4500, 4999])("stops at %i", async (code) => {
    const { room, socket } = await joined();
    socket.end(code, "why");
    expect(room.status).toBe("closed");
    expect(room.reason).toMatchObject({ code: "why", closeCode: code });
    await wait(120_000);
    expect(attempts()).toBe(1);
  });

  it.each([1001, 1002, 1005, 1006, 1011, 1012, 3000, 4001, 4008, 4009, 4300, 4499])(
    "resumes after %i",
    async (code) => {
      const { room, socket } = await joined({ token: "t" });
      socket.end(code);
      expect(room.status).toBe("reconnecting");
      await wait(250);
      expect(attempts()).toBe(2);
      expect(FakeSocket.last.query.get("session")).toBe("e1.secret");
      expect(FakeSocket.last.query.get("seq")).toBe("1");
    },
  );

  it.each([1013, 4029])("resumes later after %i, and waking up does not cut that short", async (code) => {
    const { room, socket } = await joined();
    socket.end(code);
    await wait(1_000);
    expect(attempts()).toBe(1);
    expect(room.status).toBe("reconnecting");
    await wait(4_000);
    expect(attempts()).toBe(2);
  });

  it("comes back later from a connection limit, which is a 1008 too", async () => {
    const { room, socket } = await joined();
    socket.say({ type: "error", code: "connection_limit", message: "close one" }).end(1008, "connection_limit");
    expect(room.reason).toMatchObject({ code: "connection_limit", message: "close one" });
    expect(room.status).toBe("reconnecting");
    await wait(5_000);
    expect(attempts()).toBe(2);
  });

  it("an error of long ago is not the reason of a later end", async () => {
    const { room, socket } = await joined();
    socket.say({ type: "error", code: "unsupported", message: "" }).say({ type: "ping", time: 1 }).end();
    expect(room.reason?.code).toBe("connection_lost");
  });

  it("going_away gives the slot, and nothing cuts it short", async () => {
    const { socket } = await joined();
    socket.say({ type: "going_away", code: 1012, reconnect_after_ms: 7_000 }).end(1012);
    await wait(6_999);
    expect(attempts()).toBe(1);
    await wait(1);
    expect(attempts()).toBe(2);
  });
});

describe("backoff", () => {
  it("doubles up to the cap, with full jitter", async () => {
    const joining = client().join();
    const waits = [];
    for (const expected of [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const before = attempts();
      FakeSocket.last.end();
      await wait(expected - 1);
      expect(attempts(), `before ${expected}`).toBe(before);
      await wait(1);
      waits.push(attempts() - before);
    }
    expect(waits.every((n) => n === 1)).toBe(true);
    vi.mocked(Math.random).mockReturnValue(0);
    FakeSocket.last.end();
    await wait(0);
    expect(attempts()).toBe(11);
    FakeSocket.last.welcome();
    expect((await joining).status).toBe("online");
  });

  it("begins anew only after a connection that lasted", async () => {
    const { room, socket } = await joined();
    const waits: (number | undefined)[] = [];
    room.on("status", ({ status, retryInMs }) => status === "reconnecting" && retryInMs && waits.push(retryInMs));
    socket.end();
    for (let again = 0; again < 3; again++) (await resumed({})).end();
    expect(waits).toEqual([250, 500, 1_000, 2_000]);
    await wait(2_000);
    FakeSocket.last.welcome({ resume: "continuous" });
    await wait(3_000);
    FakeSocket.last.say({ type: "ping", time: 1 });
    await wait(3_000);
    FakeSocket.last.end();
    expect(waits.at(-1)).toBe(250);
  });
});

describe("a first join", () => {
  it("keeps trying while nobody answers, and says why not", async () => {
    const me = client();
    const changes: unknown[] = [];
    me.room.on("status", ({ status, reason }) => changes.push([status, reason?.code]));
    const joining = me.join();
    FakeSocket.last.end();
    await wait(250);
    expect(changes).toEqual([
      ["connecting", "connection_lost"],
      ["connecting", "connection_lost"],
    ]);
    FakeSocket.last.welcome();
    expect(await joining).toBe(me.room);
  });

  it("is rejected with the server's words when it says stop", async () => {
    const joining = client().join();
    FakeSocket.last.open().say({ type: "error", code: "already_connected", message: "alice is here" }).end(4002);
    await expect(joining).rejects.toMatchObject({
      code: "already_connected",
      message: "alice is here",
      closeCode: 4002,
    });
    await expect(joining).rejects.toBeInstanceOf(InnkeeperError);
  });

  it("is never raced against itself: the next one waits until the slow one is over", async () => {
    void client().join();
    const slow = FakeSocket.last.open();
    await wait(15_000);
    expect(slow.isClosed).toBe(true);
    await wait(60_000);
    expect(attempts()).toBe(1);
    slow.end();
    await wait(250);
    expect(attempts()).toBe(2);
  });

  it("waits for the welcome from when the socket is open, and longer than a server waits for a token", async () => {
    const joining = client().join();
    await wait(9_900);
    FakeSocket.last.open();
    // AUTH_TIMEOUT_MS, and a little for the way back.
    await wait(10_500);
    expect(FakeSocket.last.isClosed).toBe(false);
    FakeSocket.last.say({ type: "error", code: "auth_timeout", message: "no token" }).end(4001, "auth_timeout");
    await expect(joining).rejects.toMatchObject({ code: "auth_timeout", message: "no token" });
    expect(attempts()).toBe(1);
  });

  it("tries a taken seat again when it may be its own earlier attempt that has it", async () => {
    const joining = client().join();
    FakeSocket.last.end();
    await wait(250);
    FakeSocket.last.open().end(4002, "already_connected");
    await wait(500);
    FakeSocket.last.welcome();
    expect((await joining).status).toBe("online");
  });

  it("may be aborted", async () => {
    const signal = AbortSignal.abort("no time");
    await expect(client().join({ signal })).rejects.toBe("no time");
    const control = new AbortController();
    const me = client();
    const joining = me.join({ signal: control.signal });
    control.abort("changed my mind");
    await expect(joining).rejects.toBe("changed my mind");
    expect(FakeSocket.last.isClosed).toBe(true);
    expect(me.room.status).toBe("closed");
  });

  it("refuses names that the server would answer with a status no page can see", async () => {
    for (const game of ["", "_server", "a/b", "x".repeat(65), "-a"]) {
      expect(await codeOf(client({ game }).join()), game).toBe("invalid_id");
    }
    expect(attempts()).toBe(0);
  });

  it("learns why its upgrade was refused, and stops where that will not change", async () => {
    const answer = (status: number, code: string) =>
      vi.stubGlobal(
        "fetch",
        vi.fn(async () => Response.json({ error: { code, message: "words" } }, { status })),
      );
    answer(503, "disabled");
    const me = client();
    const joining = me.join();
    FakeSocket.last.end();
    await wait(0);
    expect(me.room.reason?.code).toBe("disabled");
    expect(vi.mocked(fetch).mock.calls).toEqual([["http://server/ws/g/alice", { method: "POST" }]]);
    answer(403, "invalid_origin");
    await wait(250);
    FakeSocket.last.end();
    await expect(joining).rejects.toMatchObject({ code: "invalid_origin", message: "words" });
  });
});

describe("attempts that come late (4000)", () => {
  it("is over when somebody else took the seat", async () => {
    const { room, socket } = await joined();
    socket.end(4000, "replaced");
    expect(room.status).toBe("closed");
  });

  it("resumes once for each attempt that it had given up", async () => {
    const { room, socket } = await joined();
    socket.end();
    await wait(250);
    const slow = FakeSocket.last;
    await wait(10_000);
    expect(slow.isClosed).toBe(true);
    await wait(500);
    FakeSocket.last.welcome({ resume: "continuous" });
    slow.end(1006);
    expect(room.status).toBe("online");
    FakeSocket.last.end(4000, "replaced");
    expect(room.status).toBe("reconnecting");
    await wait(1_000);
    FakeSocket.last.welcome({ resume: "continuous" }).end(4000, "replaced");
    expect(room.status).toBe("closed");
  });

  it("suspects nobody any more after a minute", async () => {
    const { room, socket } = await joined();
    socket.end();
    await wait(250);
    FakeSocket.last.end();
    await wait(500);
    FakeSocket.last.welcome({ resume: "continuous" });
    for (let second = 0; second < 61; second++) {
      await wait(1_000);
      FakeSocket.last.say({ type: "ping", time: 1 });
    }
    FakeSocket.last.end(4000, "replaced");
    expect(room.status).toBe("closed");
  });

  it("hears nothing from a connection that it has left", async () => {
    const { room, socket, heard } = await joined();
    await wait(10_000);
    await wait(5_000);
    expect(room.status).toBe("reconnecting");
    heard.length = 0;
    socket.say({ type: "message", seq: 2, from: "bob", data: "late" }).end(4003);
    expect(heard).toEqual([]);
    expect(room.status).toBe("reconnecting");
  });
});

it("garbage and frames of a later contract are passed over", async () => {
  const { room, socket, heard } = await joined();
  heard.length = 0;
  socket.onmessage?.({ data: "{" });
  socket.onmessage?.({ data: new ArrayBuffer(3) });
  socket.say({ type: "confetti" });
  expect(heard).toEqual([]);
  expect(room.status).toBe("online");
});

it("a page whose rules forbid the address is told at once", async () => {
  class Forbidden extends FakeSocket {
    constructor(url: string) {
      super(url);
      throw new SyntaxError("not here");
    }
  }
  expect(await codeOf(client({ WebSocket: Forbidden }).join())).toBe("bad_url");
});

describe("an error without a close", () => {
  it("ends the attempt with a reason, and another one follows", async () => {
    const me = client();
    const joining = me.join();
    const mute = FakeSocket.last;
    mute.onerror?.();
    await wait(1_000);
    expect(me.room.reason).toMatchObject({
      code: "connection_lost",
      message: expect.stringContaining("without a word"),
    });
    mute.end(1006);
    await wait(250);
    expect(attempts(), "what it says later is not heard").toBe(2);
    FakeSocket.last.welcome();
    expect((await joining).status).toBe("online");
  });

  it.each(["wss://server", "wss://server/ws/g/alice"])(
    "is the end where the page's policy forbids the address (%s)",
    async (blockedURI) => {
      const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
      vi.stubGlobal("document", document);
      const joining = connect("wss://server", { game: "g", player: "alice", WebSocket: FakeSocket }).join();
      const report = (uri: string) =>
        document.dispatchEvent(
          Object.assign(new Event("securitypolicyviolation"), { effectiveDirective: "connect-src", blockedURI: uri }),
        );
      report("wss://elsewhere");
      FakeSocket.last.onerror?.();
      report(blockedURI);
      await Promise.all([
        expect(joining).rejects.toMatchObject({ code: "blocked", message: expect.stringContaining("server") }),
        wait(1_000),
      ]);
      await wait(60_000);
      expect(attempts()).toBe(1);
    },
  );

  it("a close that follows the error is what counts", async () => {
    const me = client();
    void me.join();
    FakeSocket.last.onerror?.();
    FakeSocket.last.end(1006);
    expect(me.room.reason?.code).toBe("connection_lost");
    await wait(250);
    await wait(800);
    expect(attempts()).toBe(2);
  });
});

it("without any WebSocket it says so", () => {
  vi.stubGlobal("WebSocket", undefined);
  expect(() => client({ WebSocket: undefined as never })).toThrow(/no global WebSocket/);
});

it("the second welcome of a session is asked for with what was seen", async () => {
  const { socket } = await joined({ spectate: true }, { role: "spectator", seq: 7 });
  expect(socket.query.get("spectate")).toBe("1");
  socket.say({ type: "message", seq: 9, from: "bob", data: 1 }).end();
  await wait(250);
  expect(FakeSocket.last.url).toBe("ws://server/ws/g/alice?session=e1.secret&seq=9&spectate=1");
  expect(welcome().session).toBe("e1.secret");
});
