//! Owns the proofs of feeds: what a hub is asked for, and who hears what.

import { describe, expect, it, vi } from "vitest";
import { FakeSocket, client, codeOf, useFakes } from "./fake.js";

useFakes();

const wait = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const WELCOME = { type: "welcome", protocol: 1, hub: "options" };
const data = (topic: string, value: unknown, snapshot?: boolean) => ({
  type: "data",
  topic,
  seq: 1,
  snapshot,
  data: value,
});

async function online() {
  const feed = client().feed("options");
  await wait();
  const socket = FakeSocket.last.open().say(WELCOME);
  return { feed, socket };
}

describe("subscriptions", () => {
  it("the server is asked once for a topic, however many want it, and told when nobody does", async () => {
    const { feed, socket } = await online();
    expect(socket.url).toBe("ws://server/ws/options");
    const heard: unknown[] = [];
    const first = feed.subscribe("a", (value) => heard.push(["first", value]));
    const second = feed.subscribe("a", (value, { topic }) => heard.push(["second", topic, value]));
    feed.subscribe("b", () => undefined);
    await wait();
    expect(socket.said).toEqual([{ type: "subscribe", topics: ["a", "b"] }]);
    socket.say(data("a", 1)).say(data("b", 2)).say(data("c", 3));
    expect(heard).toEqual([
      ["first", 1],
      ["second", "a", 1],
    ]);
    first();
    first();
    await wait();
    expect(socket.said).toHaveLength(1);
    second();
    await wait();
    expect(socket.said.at(-1)).toEqual({ type: "unsubscribe", topics: ["a"] });
    heard.length = 0;
    socket.say(data("a", 4));
    expect(heard).toEqual([]);
  });

  it("a second subscriber gets the last value without asking, unless it is gone by then", async () => {
    const { feed, socket } = await online();
    feed.subscribe("a", () => undefined);
    await wait();
    socket.say(data("a", 1));
    const heard: unknown[] = [];
    feed.subscribe("a", (value, { snapshot }) => heard.push([value, snapshot]));
    feed.subscribe("a", () => heard.push("gone"))();
    expect(heard, "not before subscribe() returns").toEqual([]);
    await wait();
    expect(heard).toEqual([[1, true]]);
    expect(socket.said).toHaveLength(1);
  });

  it("what is taken back in the same turn is never said, and keeps its value", async () => {
    const { feed, socket } = await online();
    feed.subscribe("never", () => undefined)();
    const off = feed.subscribe("a", () => undefined);
    await wait();
    socket.say(data("a", 1));
    off();
    const heard: unknown[] = [];
    feed.subscribe("a", (value) => heard.push(value));
    await wait();
    expect(socket.said).toEqual([{ type: "subscribe", topics: ["a"] }]);
    expect(heard).toEqual([1]);
  });

  it("many topics go in several frames", async () => {
    const { feed, socket } = await online();
    for (let n = 0; n < 450; n++) feed.subscribe(`t${n}`, () => undefined);
    await wait();
    expect(socket.said.map(({ topics }) => (topics as string[]).length)).toEqual([200, 200, 50]);
  });

  it("all are asked for again after a reconnect, also those that came meanwhile", async () => {
    const { feed, socket } = await online();
    const heard: unknown[] = [];
    feed.subscribe("a", (value, { snapshot }) => heard.push([value, snapshot]));
    const gone = feed.subscribe("gone", () => undefined);
    await wait();
    const changes: string[] = [];
    feed.on("status", ({ status }) => changes.push(status));
    socket.end();
    gone();
    feed.subscribe("late", () => undefined);
    await wait(250);
    FakeSocket.last.open().say(WELCOME);
    expect(FakeSocket.last.said).toEqual([{ type: "subscribe", topics: ["a", "late"] }]);
    FakeSocket.last.say(data("a", 5, true));
    expect(heard).toEqual([[5, true]]);
    expect(changes).toEqual(["reconnecting", "reconnecting", "online"]);
  });
});

it("tells of the upstream, of gaps and of errors", async () => {
  const { feed, socket } = await online();
  const told: unknown[] = [];
  feed.on("feed", ({ state }) => told.push(state));
  feed.on("gap", ({ topics, from, to }) => told.push([topics, from, to]));
  feed.on("error", ({ code, topic }) => told.push(topic ? [code, topic] : code));
  socket
    .say({ type: "subscribed", topics: ["a"], feed: { state: "live" } })
    .say({ type: "feed", state: "down", since: 1, attempt: 2 })
    .say({ type: "gap", topics: ["a"], from: 1, to: 2 })
    .say({ type: "error", code: "topic_rejected", message: "", topic: "a" })
    .say({ type: "error", code: "forbidden", message: "" });
  expect(told).toEqual(["live", "down", [["a"], 1, 2], ["topic_rejected", "a"], "forbidden"]);
});

it("stops when the server says so, and when it is closed", async () => {
  const refused = await online();
  refused.socket.end(4003, "auth_failed");
  expect(refused.feed.status).toBe("closed");
  expect(refused.feed.reason).toMatchObject({ code: "auth_failed", closeCode: 4003 });
  const { feed, socket } = await online();
  expect(feed.status).toBe("online");
  feed.close();
  expect(socket.isClosed).toBe(true);
  await wait(60_000);
  expect(FakeSocket.all).toHaveLength(2);
  expect(feed.reason?.code).toBe("left");
});

it("the operators' hub is reached with a token in the first frame", async () => {
  client({ token: () => "secret" }).feed("_server");
  await wait();
  expect(FakeSocket.last.open().sent).toEqual([{ type: "auth", token: "secret" }]);
  expect(FakeSocket.last.url).toBe("ws://server/ws/_server");
  expect(() => client().feed("a/b")).toThrow(/a name is/);
});

describe("publishing", () => {
  it("resolves with the value's number, and is rejected with the hub's refusal", async () => {
    const { feed, socket } = await online();
    const value = { eur: 3 };
    const both = [feed.publish("price", value), feed.publish("price", undefined)] as const;
    value.eur = 4;
    expect(socket.said).toEqual([
      { type: "publish", id: 1, topic: "price", data: { eur: 3 } },
      { type: "publish", id: 2, topic: "price", data: null },
    ]);
    socket
      .say({ type: "published", id: 1, topic: "price", seq: 9 })
      .say({ type: "error", code: "forbidden", message: "no", id: 2 });
    expect(await both[0]).toEqual({ seq: 9 });
    expect(await codeOf(both[1])).toBe("forbidden");
  });

  it("waits for a connection, within a bound", async () => {
    const { feed, socket } = await online();
    socket.end();
    const waiting = Array.from({ length: 256 }, (_, n) => feed.publish("a", n));
    expect(await codeOf(feed.publish("a", 256))).toBe("overflow");
    await wait(250);
    FakeSocket.last.open().say(WELCOME);
    expect(FakeSocket.last.said.length, "more at once would be closed with 4029").toBeLessThan(200);
    await wait(3_000);
    expect(FakeSocket.last.said.filter(({ type }) => type === "publish").map(({ data }) => data)).toEqual([
      ...Array(256).keys(),
    ]);
    FakeSocket.last.say({ type: "published", id: 1, topic: "a", seq: 1 });
    expect(await waiting[0]).toEqual({ seq: 1 });
    for (const other of waiting) other.catch(() => undefined);
  });

  it("is paced: a loop does not go over the server's rate, and what breaks off goes on with the next connection", async () => {
    const { feed, socket } = await online();
    const published = () =>
      FakeSocket.all
        .flatMap(({ said }) => said)
        .filter(({ type }) => type === "publish")
        .map(({ data }) => data);
    const all = Array.from({ length: 150 }, (_, n) => feed.publish("a", n));
    for (const each of all) each.catch(() => undefined);
    expect(published()).toHaveLength(100);
    await wait(100);
    expect(published().length).toBeGreaterThan(100);
    expect(published().length).toBeLessThan(120);
    socket.end();
    await wait(250);
    FakeSocket.last.open().say(WELCOME);
    await wait(1_000);
    expect(published()).toEqual([...Array(150).keys()]);
  });

  it("what the hub would refuse without naming it is refused here", async () => {
    const { feed, socket } = await online();
    let deep: unknown = 1;
    for (let n = 0; n < 130; n++) deep = [deep];
    expect(await codeOf(feed.publish("a", deep))).toBe("too_deep");
    expect(await codeOf(feed.publish("a", "\ud800"))).toBe("bad_json");
    expect(socket.said).toEqual([]);
  });

  it("what a lost line leaves without an answer is not sent again: it may be there", async () => {
    const { feed, socket } = await online();
    const publishing = feed.publish("a", 1);
    socket.end();
    expect(await codeOf(publishing)).toBe("unconfirmed");
    await wait(250);
    FakeSocket.last.open().say(WELCOME);
    expect(FakeSocket.last.said).toEqual([]);
    feed.close();
    expect(await codeOf(feed.publish("a", 2))).toBe("left");
  });
});
