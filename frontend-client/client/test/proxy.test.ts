//! Owns the proofs of a client at a proxy: frames both ways, and the way back to the same upstream.

import { describe, expect, it, vi } from "vitest";
import { InnkeeperError, connect, type Proxy } from "../src/index.js";
import { FakeSocket, useFakes } from "./fake.js";

useFakes();

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const welcome = (fields: object = {}) => ({
  type: "welcome",
  protocol: 1,
  proxy: "speech",
  session: "secret",
  resume: "new",
  seq: 0,
  next: 1,
  last_id: 0,
  resume_ms: 10_000,
  max_message_bytes: 1_000_000,
  ...fields,
});

function open(token?: string) {
  const proxy = connect("http://server", { WebSocket: FakeSocket, token }).proxy("speech", { query: { model: "m 1" } });
  const heard: unknown[] = [];
  proxy.on("message", (data) => heard.push(data));
  proxy.on("resumed", ({ verdict, lost }) => heard.push(lost ? [verdict, lost] : verdict));
  proxy.on("error", ({ code }) => heard.push({ code }));
  return { proxy, heard };
}

async function resumable(): Promise<{ proxy: Proxy; heard: unknown[] }> {
  const opened = open();
  FakeSocket.last.open().say(welcome());
  await wait(0);
  return opened;
}

/** Breaks the line and opens another one. */
async function again(fields: object): Promise<FakeSocket> {
  const before = FakeSocket.last;
  if (before.readyState !== 3) before.end();
  while (FakeSocket.last === before) await wait(250);
  const socket = FakeSocket.last.open();
  await wait(0);
  return socket.say(welcome({ resume: "continuous", ...fields }));
}

it("sends the token first, and then what was given before there was a line; parameters go in the address", async () => {
  const { proxy } = open("t");
  proxy.send("early");
  await wait(0);
  expect(FakeSocket.last.url).toBe("ws://server/proxy/speech?model=m+1");
  FakeSocket.last.open();
  await wait(0);
  expect(FakeSocket.last.raw).toEqual(['{"type":"auth","token":"t"}', "early"]);
  expect(proxy.status).toBe("online");
  await wait(60_000);
  expect(FakeSocket.last.raw, "a heartbeat would reach the upstream").toHaveLength(2);
});

it("hands on every frame of the upstream as it is, and none of the server's own", async () => {
  const { heard } = await resumable();
  const socket = FakeSocket.last;
  const binary = new ArrayBuffer(3);
  socket
    .text('{"type":"welcome","to":"the upstream"}')
    .text("no json")
    .text('{"type":"error","error":{"code":"x"}}')
    .bytes(binary);
  socket
    .text('{"type":"ping","time":1}')
    .text('{"type":"error","code":"forbidden","message":"m","error":{"type":"innkeeper"}}');
  expect(heard).toEqual([
    '{"type":"welcome","to":"the upstream"}',
    "no json",
    '{"type":"error","error":{"code":"x"}}',
    binary,
    '{"type":"ping","time":1}',
    { code: "forbidden" },
  ]);
  expect(socket.raw).toEqual([]);
});

describe("a lost line", () => {
  it("continuous: says what arrived, and sends again what did not", async () => {
    const { proxy, heard } = await resumable();
    for (const word of ["a", "b", "c"]) proxy.send(word);
    FakeSocket.last.text("1").text("2");
    FakeSocket.last.end();
    proxy.send("d");
    await wait(250);
    expect(FakeSocket.last.query.get("session")).toBe("secret");
    expect(FakeSocket.last.query.get("seq")).toBe("2");
    FakeSocket.last.open();
    expect(FakeSocket.last.raw, "not before it is known what arrived").toEqual([]);
    FakeSocket.last.say(welcome({ resume: "continuous", seq: 3, next: 3, last_id: 1 })).text("3");
    expect(FakeSocket.last.raw).toEqual(["b", "c", "d"]);
    expect(heard).toEqual(["1", "2", "continuous", "3"]);
    const next = await again({ seq: 3, next: 4, last_id: 4 });
    expect(next.query.get("seq")).toBe("3");
    expect(next.raw).toEqual([]);
  });

  it("snapshot: names what is gone, and counts on behind it", async () => {
    const { heard } = await resumable();
    await again({ resume: "snapshot", reason: "history_too_short", lost: [1, 40], seq: 42, next: 41, last_id: 0 });
    FakeSocket.last.text("41");
    expect(heard).toEqual([["snapshot", [1, 40]], "41"]);
    const next = await again({ seq: 42, next: 42 });
    expect(next.query.get("seq")).toBe("41");
  });

  it("reset: what the old upstream was told is not told to the new one, what waited is", async () => {
    const { proxy, heard } = await resumable();
    proxy.send("to the old one");
    FakeSocket.last.text("from the old one").end();
    proxy.send("waits");
    proxy.on("resumed", () => proxy.send("set up"));
    await again({ resume: "reset", reason: "session_expired", session: "other", next: 1, last_id: 0 });
    expect(FakeSocket.last.raw).toEqual(["set up", "waits"]);
    expect(heard).toEqual(["from the old one", "reset"]);
    const next = await again({ resume: "continuous", next: 1, last_id: 1 });
    expect(next.query.get("session")).toBe("other");
    expect(next.raw).toEqual(["waits", "set up"]);
  });

  it("a proxy that cannot be resumed gives another upstream", async () => {
    const { proxy, heard } = open();
    FakeSocket.last.open();
    await wait(0);
    proxy.send("old");
    FakeSocket.last.text("1").end();
    await wait(250);
    FakeSocket.last.open();
    await wait(0);
    expect(heard).toEqual(["1", "reset"]);
    expect(FakeSocket.last.raw).toEqual([]);
    expect(FakeSocket.last.query.has("session")).toBe(false);
  });

  it("is assumed when the browser says that it is offline, where there is a session to come back to", async () => {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
    const { proxy } = await resumable();
    page.dispatchEvent(new Event("offline"));
    expect(proxy.reason?.code).toBe("offline");
    expect(FakeSocket.last.isClosed).toBe(true);
    page.dispatchEvent(new Event("online"));
    await wait(0);
    expect(FakeSocket.last.query.get("session")).toBe("secret");
    const other = open();
    FakeSocket.last.open();
    page.dispatchEvent(new Event("offline"));
    expect(other.proxy.status).toBe("online");
  });

  it("what is kept for it is bounded: what waits is refused past that, what was written is forgotten and missed", async () => {
    const { proxy, heard } = await resumable();
    const part = "x".repeat(400_000);
    for (let n = 0; n < 4; n++) proxy.send(part);
    FakeSocket.last.end();
    proxy.send(part);
    proxy.send(part);
    expect(() => proxy.send(part)).toThrow(expect.objectContaining({ code: "overflow" }));
    const next = await again({ next: 1, last_id: 1 });
    expect(next.raw).toHaveLength(2);
    expect(heard).toEqual(["continuous", { code: "unsent" }]);
  });
});

it("takes an upstream's end for its own, with its code and reason", async () => {
  const { proxy } = await resumable();
  FakeSocket.last.end(1000, "the upstream is done");
  expect(proxy.status).toBe("closed");
  expect(proxy.reason).toMatchObject({ closeCode: 1000, code: "the upstream is done" });
  expect(() => proxy.send("more")).toThrow(InnkeeperError);
  expect(vi.getTimerCount()).toBe(0);
});

it("says the server's words when a budget is used up", async () => {
  const { proxy } = await resumable();
  FakeSocket.last
    .text('{"type":"error","code":"budget_exceeded","message":"max_session_seconds is used up"}')
    .end(1008, "budget_exceeded");
  expect(proxy.reason).toMatchObject({
    code: "budget_exceeded",
    message: "max_session_seconds is used up",
    closeCode: 1008,
  });
});

it("leaves an upstream alone for as long as it asks", async () => {
  const { proxy } = open();
  FakeSocket.last
    .open()
    .text(
      '{"type":"error","code":"upstream_failed","message":"refused","retry_after_ms":30000,"error":{"type":"innkeeper"}}',
    )
    .end(1011, "upstream_failed");
  expect(proxy.status).not.toBe("closed");
  const before = FakeSocket.all.length;
  await wait(29_900);
  expect(FakeSocket.all).toHaveLength(before);
  await wait(5_000);
  expect(FakeSocket.all).toHaveLength(before + 1);
  FakeSocket.last.end();
  await wait(5_000);
  expect(FakeSocket.all, "the next failure is its own").toHaveLength(before + 2);
  proxy.close();
});
