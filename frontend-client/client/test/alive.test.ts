//! Owns the proofs of how a connection is kept alive: tokens, the heartbeat, and waking up.

import { describe, expect, it, vi } from "vitest";
import { InnkeeperError } from "../src/index.js";
import { FakeSocket, client, codeOf, joined, resumed, useFakes } from "./fake.js";

useFakes();

const attempts = () => FakeSocket.all.length;
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("tokens", () => {
  it("go in the first frame, never in the address", async () => {
    const { socket } = await joined({ token: "a.b.c" });
    expect(socket.sent[0]).toEqual({ type: "auth", token: "a.b.c" });
    expect(socket.url).not.toContain("a.b.c");
  });

  it("a function is asked before every connection, and what it gives is waited for", async () => {
    let asked = 0;
    const token = async () => `t${++asked}`;
    const { socket } = await joined({ token });
    expect(socket.sent[0]).toEqual({ type: "auth", token: "t1" });
    const next = await (socket.end(4005, "token_expired"), resumed({}));
    expect(next.sent[0]).toEqual({ type: "auth", token: "t2" });
  });

  it("token_expiring brings a new one in place", async () => {
    let asked = 0;
    const { socket } = await joined({ token: async () => `t${++asked}` });
    socket.say({ type: "token_expiring", in_ms: 30_000 });
    await wait(0);
    expect(socket.said).toEqual([
      { type: "auth", token: "t1" },
      { type: "auth", token: "t2" },
    ]);
    expect(attempts()).toBe(1);
  });

  it("a function that fails is asked again, and the failure is told", async () => {
    let works = false;
    const token = () => (works ? "t" : Promise.reject(new Error("no login")));
    const me = client({ token });
    const joining = me.join();
    await wait(0);
    expect(me.room.reason).toMatchObject({ code: "token", message: expect.stringContaining("no login") });
    works = true;
    await wait(250);
    FakeSocket.last.welcome();
    const room = await joining;
    const errors: string[] = [];
    room.on("error", ({ code }) => errors.push(code));
    works = false;
    FakeSocket.last.say({ type: "token_expiring", in_ms: 30_000 });
    await wait(0);
    expect(errors).toEqual(["token"]);
    expect(room.status).toBe("online");
  });

  it("a fixed one that expired, or none where one is needed, is the end", async () => {
    const { room, socket } = await joined({ token: "t" });
    socket.end(4005, "token_expired");
    expect(room.reason?.code).toBe("token_expired");
    expect(room.status).toBe("closed");
    const joining = client().join();
    FakeSocket.last.open().end(4001, "auth_timeout");
    expect(await codeOf(joining)).toBe("auth_timeout");
  });
});

describe("tokens that are not to be had", () => {
  it("null is none", async () => {
    const { socket } = await joined({ token: null });
    expect(socket.said).toEqual([]);
    const other = await joined({ player: "bob", token: async () => null });
    expect(other.socket.said).toEqual([]);
  });

  it("a function that throws an error of ours gives up for good, with its reason", async () => {
    const why = new InnkeeperError("signed_out", "sign in again");
    const joining = client({ token: () => Promise.reject(why) }).join();
    await expect(joining).rejects.toBe(why);
    await wait(60_000);
    expect(attempts()).toBe(0);
  });

  it("also when the present token is about to end", async () => {
    let asked = 0;
    const token = () => {
      if (asked++ > 0) throw new InnkeeperError("signed_out", "sign in again");
      return "t";
    };
    const { room, socket } = await joined({ token });
    socket.say({ type: "token_expiring", in_ms: 30_000 });
    await wait(0);
    expect(room.status).toBe("closed");
    expect(room.reason).toMatchObject({ code: "signed_out", message: "sign in again" });
    expect(socket.isClosed).toBe(true);
  });
});

describe("heartbeat", () => {
  it("answers the server's pings", async () => {
    const { socket } = await joined();
    socket.say({ type: "ping", time: 5 });
    expect(socket.said).toEqual([{ type: "pong" }]);
  });

  it("measures the round trip", async () => {
    const { room, socket } = await joined({ pingIntervalMs: 2_000 });
    await wait(40);
    socket.say({ type: "pong", nonce: 1, time: 1 });
    expect(room.latency).toBe(40);
    await wait(2_000);
    expect(socket.sent.at(-1)).toEqual({ type: "ping", nonce: 2 });
    await wait(15);
    socket.say({ type: "pong", nonce: 1, time: 1 });
    expect(room.latency, "an old pong says nothing").toBe(40);
    socket.say({ type: "pong", nonce: 2, time: 1 });
    expect(room.latency).toBe(15);
  });

  it("leaves a connection that does not answer", async () => {
    const { room, socket } = await joined();
    socket.say({ type: "pong", nonce: 1, time: 1 });
    await wait(10_000);
    expect(room.status).toBe("online");
    await wait(5_000);
    expect(socket.isClosed).toBe(true);
    expect(room.reason?.code).toBe("heartbeat_timeout");
    await wait(250);
    expect(attempts()).toBe(2);
  });

  it("any frame is an answer", async () => {
    const { room, socket } = await joined();
    for (let n = 0; n < 10; n++) {
      await wait(4_000);
      socket.say({ type: "ping", time: 1 });
    }
    expect(room.status).toBe("online");
  });
});

describe("waking up", () => {
  let page: EventTarget;
  let document: EventTarget & { visibilityState: string };
  const stub = () => {
    page = new EventTarget();
    document = Object.assign(new EventTarget(), { visibilityState: "visible" });
    vi.stubGlobal("document", document);
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
  };
  const signals: [string, () => boolean][] = [
    ["online", () => page.dispatchEvent(new Event("online"))],
    ["pageshow", () => page.dispatchEvent(new Event("pageshow"))],
    ["visibilitychange", () => document.dispatchEvent(new Event("visibilitychange"))],
  ];

  it.each(signals)("on %s a waiting client tries at once", async (_, dispatch) => {
    stub();
    const joining = client().join();
    for (let n = 0; n < 8; n++) {
      FakeSocket.last.end();
      await wait(250 * 2 ** n);
    }
    FakeSocket.last.end();
    const before = attempts();
    dispatch();
    expect(attempts()).toBe(before + 1);
    FakeSocket.last.welcome();
    const room = await joining;
    void room.leave();
    FakeSocket.last.end(1000, "left");
    dispatch();
    await wait(60_000);
    expect(attempts(), "nobody listens any more").toBe(before + 1);
  });

  it("a page that is being hidden does not", async () => {
    stub();
    document.visibilityState = "hidden";
    void client().join();
    FakeSocket.last.end();
    document.dispatchEvent(new Event("visibilitychange"));
    expect(attempts()).toBe(1);
  });

  it("a connection that seems open is asked for a sign of life", async () => {
    stub();
    const { room, socket } = await joined();
    socket.say({ type: "pong", nonce: 1, time: 1 });
    page.dispatchEvent(new Event("online"));
    expect(socket.sent.at(-1)).toEqual({ type: "ping", nonce: 2 });
    await wait(5_000);
    expect(room.status).toBe("reconnecting");
  });

  it("offline: a connection has 2 s to show that it works all the same", async () => {
    stub();
    const { room, socket } = await joined();
    socket.say({ type: "pong", nonce: 1, time: 1 });
    page.dispatchEvent(new Event("offline"));
    expect(socket.sent.at(-1)).toEqual({ type: "ping", nonce: 2 });
    socket.say({ type: "pong", nonce: 2, time: 1 });
    await wait(5_000);
    expect(room.status).toBe("online");
    page.dispatchEvent(new Event("offline"));
    await wait(2_000);
    expect(room.status).toBe("reconnecting");
    expect(room.reason?.code).toBe("offline");
  });

  it("neither patience nor a first join is overridden, a stuck resume is", async () => {
    stub();
    void client().join();
    await wait(5_000);
    page.dispatchEvent(new Event("online"));
    expect(attempts()).toBe(1);
    FakeSocket.last.welcome().say({ type: "going_away", code: 1012, reconnect_after_ms: 9_000 }).end(1012);
    page.dispatchEvent(new Event("online"));
    expect(attempts()).toBe(1);
    await wait(9_000 + 2_000);
    expect(attempts()).toBe(2);
    page.dispatchEvent(new Event("online"));
    expect(FakeSocket.last.isClosed).toBe(true);
    await wait(250);
    expect(attempts()).toBe(3);
  });
});
