//! Owns the TypeScript half of `tests/fixtures/wire`: the frames that the server (tests/wire_fixtures.rs) and this
//! library must agree on.

import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import type { ClientFrame, Json, ServerFrame } from "../src/index.js";
import { FakeSocket, client, joined, useFakes } from "./fake.js";

useFakes();

interface Fixture {
  name: string;
  direction: "client" | "server";
  on?: "hub";
  frame?: { [key: string]: Json };
  text?: string;
  error?: string;
}

const directory = new URL("../../../tests/fixtures/wire/", import.meta.url);
const fixtures: Fixture[] = readdirSync(directory)
  .filter((file) => file.endsWith(".json"))
  .map((file) => ({ name: file, ...JSON.parse(readFileSync(new URL(file, directory), "utf8")) }));

type Is = (value: Json) => boolean;
const text: Is = (value) => typeof value === "string";
const count: Is = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const object: Is = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const any: Is = () => true;
const texts: Is = (value) => Array.isArray(value) && value.every(text);
const either =
  (...values: Json[]): Is =>
  (value) =>
    values.includes(value);
const or =
  (a: Is, b: Is): Is =>
  (value) =>
    a(value) || b(value);

// The compiler checks that each type has its entry and each field of each its check, so these tables are the types.
type Keys<T> = T extends unknown ? keyof T : never;
type Table<F extends { type: string }> = {
  [K in F["type"]]: { [P in Exclude<Keys<Extract<F, { type: K }>>, "type">]-?: { is: Is; optional: boolean } };
};
const must = (is: Is) => ({ is, optional: false });
const may = (is: Is) => ({ is, optional: true });

const CLIENT: Table<ClientFrame> = {
  auth: { token: may(text), session: may(text), seq: may(count) },
  send: { id: may(count), data: must(any), to: may(texts), volatile: may(text) },
  patch: { id: may(count), patch: must(object), if_seq: may(count) },
  ping: { nonce: may(any) },
  pong: {},
  leave: {},
  subscribe: { topics: must(texts) },
  unsubscribe: { topics: must(texts) },
  publish: { id: may(count), topic: must(text), data: must(any) },
};

const status = either("joined", "away");
const entry: Is = (value) => status(value) || (object(value) && status((value as { status: Json }).status));
const players: Is = (value) => object(value) && Object.values(value as object).every(entry);
const beat: Is = (value) => object(value) && count((value as { interval_ms: Json }).interval_ms);
const SERVER: Table<ServerFrame> = {
  welcome: {
    protocol: must(count),
    hub: may(text),
    topics: may(texts),
    game: may(text),
    player: may(text),
    role: may(either("player", "spectator")),
    epoch: may(text),
    session: may(text),
    resume: may(either("new", "continuous", "snapshot", "reset")),
    reason: may(text),
    lost: may((value) => Array.isArray(value) && value.length === 2 && value.every(count)),
    seq: may(count),
    last_id: may(count),
    players: may(players),
    player_count: may(count),
    heartbeat: must(beat),
    grace_ms: may(count),
    max_message_bytes: may(count),
    state: may(any),
  },
  message: { seq: may(count), from: must(text), id: may(count), volatile: may(text), data: must(any) },
  patch: { seq: must(count), from: must(text), id: may(count), patch: must(object) },
  presence: {
    seq: may(count),
    player: may(text),
    status: may(either("joined", "away", "back", "left")),
    reason: may(either("leave", "timeout", "kicked")),
    name: may(text),
    count: may(count),
    players: may(players),
  },
  published: { id: must(count), topic: must(text), seq: must(count) },
  ack: { id: must(count), seq: must(or(count, either(null))) },
  ping: { time: must(count) },
  pong: { nonce: may(any), time: must(count) },
  error: { code: must(text), message: must(text), id: may(count), topic: may(text), retry_after_ms: may(count) },
  token_expiring: { in_ms: must(count) },
  going_away: { code: must(count), reconnect_after_ms: must(count) },
  subscribed: { topics: must(texts), feed: may(object) },
  data: { topic: must(text), seq: may(count), snapshot: may(either(true, false)), data: must(any) },
  feed: { state: must(either("connecting", "live", "stale", "down")), since: may(count), attempt: may(count) },
  gap: { topics: must(texts), from: must(count), to: must(count) },
};

type Fields = { [field: string]: { is: Is; optional: boolean } };

describe.each([
  ["client", CLIENT],
  ["server", SERVER],
] as [Fixture["direction"], { [type: string]: Fields }][])("frames of the %s", (direction, table) => {
  const own = fixtures.filter((fixture) => fixture.direction === direction && !fixture.error);

  it.each(own.map((fixture) => [fixture.name, fixture.frame ?? {}] as const))("%s is of its type", (_, frame) => {
    const { type, ...fields } = frame;
    const known = table[type as string];
    expect(known, String(type)).toBeDefined();
    for (const [field, value] of Object.entries(fields)) {
      expect(known?.[field]?.is(value), `${type}.${field} = ${JSON.stringify(value)}`).toBe(true);
    }
    for (const [field, { optional }] of Object.entries(known ?? {})) {
      expect(optional || field in frame, `${type}.${field}`).toBe(true);
    }
  });

  it("each type has a fixture", () => {
    expect([...new Set(own.map(({ frame }) => frame?.type))].sort()).toEqual(Object.keys(table).sort());
  });
});

describe("what the library says", () => {
  it("are the fixtures' frames", async () => {
    const said = (name: string) => fixtures.find((fixture) => fixture.name === name)?.frame;
    const { room, socket } = await joined({ token: "a.b.c" }, { last_id: 6 });
    expect(socket.sent[0]).toEqual(said("client-auth.json"));
    const last = () => socket.sent.at(-1);
    room.send({ text: "hello" }, { to: ["bob"] }).catch(() => undefined);
    expect(last()).toEqual(said("client-send.json"));
    room.patch({ board: { 0: "X", 1: null } }, { ifSeq: 41 }).catch(() => undefined);
    expect(last()).toEqual(said("client-patch.json"));
    room.volatile("cursor", [3, 4]);
    expect(last()).toEqual(said("client-send-volatile.json"));
    socket.say({ type: "ping", time: 1 });
    expect(last()).toEqual(said("client-pong.json"));
    void room.leave();
    expect(last()).toEqual(said("client-leave.json"));
    const feed = client().feed("_server");
    const offs = ["stats", "security"].map((topic) => feed.subscribe(topic, () => undefined));
    await vi.advanceTimersByTimeAsync(0);
    FakeSocket.last.open().say({ type: "welcome", protocol: 1, hub: "_server" });
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.last.said.at(-1)).toEqual(said("client-subscribe.json"));
    offs[0]?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.last.said.at(-1)).toEqual(said("client-unsubscribe.json"));
  });
});

describe("what the library hears", () => {
  it.each(
    fixtures
      .filter(({ direction, on }) => direction === "server" && on !== "hub")
      .map((f) => [f.name, f.frame ?? {}] as const),
  )("%s is taken without harm", async (_, frame) => {
    const { room, socket } = await joined();
    socket.say(frame);
    await vi.advanceTimersByTimeAsync(0);
    expect(room.status).toBe("online");
    // What has a place in the log moved the room there; a `continuous` welcome moves nothing by itself.
    const moves = typeof frame.seq === "number" && frame.type !== "ack" && frame.resume !== "continuous";
    if (moves) expect(room.seq).toBe(frame.resume === "snapshot" ? 20 : frame.seq);
    else expect(room.seq).toBe(1);
  });
});
