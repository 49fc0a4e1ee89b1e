//! Owns the proofs against the real server: nothing is lost or doubled through cuts, clogs, kill -9 and deploys.
//! The server is $INNKEEPER_BIN or what cargo built; without one these are skipped, in CI they fail.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transformWithOxc } from "vite";
import { WebSocket } from "ws";
import { describe, expect, it } from "vitest";
import { connect, type ConnectOptions, type Room } from "../src/index.js";
import { dice } from "./dice.js";
import { listen } from "./fake.js";
import { Network, Server, binary, jwt, sleep, until } from "./server.js";

const SECRET = "a secret of thirty-two bytes or more";

const enter = (url: string, player: string, options: ConnectOptions = {}) =>
  connect(url, { game: "table", player, WebSocket, backoffBaseMs: 20, backoffCapMs: 200, ...options }).join();

/** What one player saw, as [seq, from, data]. */
function log(room: Room): [number, string, unknown][] {
  const seen: [number, string, unknown][] = [];
  room.on("message", ({ seq, from, data }) => seen.push([seq, from, data]));
  room.on("patch", ({ seq, from, patch }) => seen.push([seq, from, patch]));
  return seen;
}

describe.skipIf(!binary && !process.env.CI)("the real server", () => {
  it("a game of two: messages, state, presence, latency, leaving", async () => {
    const server = await Server.start();
    const alice = await enter(server.url, "alice");
    const heard = listen(alice);
    const bob = await enter(server.url, "bob");
    expect((await bob.send({ text: "hi" }, { to: ["alice"] })).seq).toBeGreaterThan(0);
    const { seq } = await alice.patch({ turn: "bob" });
    await until(() => bob.seq === seq);
    expect(bob.state).toEqual({ turn: "bob" });
    await expect(bob.patch({ turn: "alice" }, { ifSeq: (seq ?? 0) - 1 })).rejects.toMatchObject({ code: "conflict" });
    await bob.patch({ turn: "alice" }, seq === null ? {} : { ifSeq: seq });
    expect([...alice.players]).toEqual([
      ["alice", "joined"],
      ["bob", "joined"],
    ]);
    // As deep as the server allows; one more and the client would not send it.
    const deep: unknown = JSON.parse("[".repeat(126) + "]".repeat(126));
    await bob.send(deep);
    await expect(bob.send([deep])).rejects.toMatchObject({ code: "too_deep" });
    bob.volatile("cursor", [1, 2]);
    await bob.leave();
    expect(bob.reason?.code).toBe("left");
    await until(() => alice.players.size === 1);
    expect(heard).toContainEqual(["volatile", { type: "message", from: "bob", volatile: "cursor", data: [1, 2] }]);
    expect(alice.latency).toBeGreaterThan(0);
    const watcher = await enter(server.url, "eve", { spectate: true });
    expect(watcher.role).toBe("spectator");
    expect(watcher.state).toEqual({ turn: "alice" });
    await Promise.all([alice.leave(), watcher.leave()]);
  });

  it("s11 names are given, seen by who asks, and kept through a cut", async () => {
    const server = await Server.start();
    const alice = await enter(server.url, "alice", { name: "Alice", names: true });
    const plain = await enter(server.url, "plain");
    const bob = await enter(server.url, "bob", { name: "Bob 🐺" });
    await until(() => alice.players.size === 3);
    expect([...alice.names].sort()).toEqual([
      ["alice", "Alice"],
      ["bob", "Bob 🐺"],
    ]);
    expect([plain.names.size, bob.names.size]).toEqual([0, 0]);
    await bob.leave();
    await until(() => alice.players.size === 2);
    expect([...alice.names.keys()]).toEqual(["alice"]);
    await Promise.all([alice.leave(), plain.leave()]);
  });

  it("the README's example runs as it stands, and ends by itself", async () => {
    const server = await Server.start();
    const home = fileURLToPath(new URL("..", import.meta.url));
    const [, typed] = /```ts\n(.*?)```/s.exec(readFileSync(`${home}/README.md`, "utf8")) ?? [];
    const { code: example } = await transformWithOxc(typed ?? "", "example.ts");
    const env = { ...process.env, INNKEEPER_URL: server.url };
    const child = spawn(process.execPath, ["--input-type=module", "-e", example], { cwd: home, env });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
    const code = await new Promise((resolve) => child.once("exit", resolve));
    expect(output).toMatch(
      /^alice says hello\nit is event \d+; the turn is bob's; here are \[ 'alice' \]\nclosed left\n$/,
    );
    expect(code).toBe(0);
  });

  it("the rules' refusals reach whoever moved", async () => {
    const server = await Server.start();
    const options = { game: "tic-tac-toe-1" };
    const alice = await enter(server.url, "alice", options);
    const bob = await enter(server.url, "bob", options);
    await expect(bob.send({ move: 0 })).rejects.toMatchObject({ code: "illegal_move" });
    await alice.send({ move: 4 });
    await bob.send({ move: 0 });
    await until(() => bob.seq === alice.seq);
    expect((bob.state as { board: unknown[] }).board.slice(0, 5)).toEqual(["O", null, null, null, "X"]);
    await Promise.all([alice.leave(), bob.leave()]);
  });

  it("kill -9, again and again: every send is in the log once, and everybody saw all of it in order", async () => {
    const server = await Server.start();
    const rooms = await Promise.all(["alice", "bob", "carol"].map((name) => enter(server.url, name)));
    const logs = rooms.map(log);
    const sends: Promise<{ seq: number | null }>[] = [];
    for (let round = 0; round < 4; round++) {
      for (let n = 0; n < 25; n++) {
        rooms.forEach((room, who) => {
          const tag = `${who} ${round} ${n}`;
          sends.push(n % 3 ? room.send(tag) : room.patch({ [tag]: true }));
        });
        if (n % 5 === 0) await sleep(3);
      }
      // Some are answered, some are on their way, some are not even written.
      await Promise.all(sends.slice(-75, -72));
      await server.end("SIGKILL");
      await server.again();
    }
    const places = await Promise.all(sends);
    const last = Math.max(...places.map(({ seq }) => seq ?? 0));
    await until(() => rooms.every((room) => room.counters.resumed === 4 && room.seq >= last));
    for (const [who, seen] of logs.entries()) {
      expect(seen, `what ${who} saw`).toEqual(logs[0]);
      expect(rooms[who]?.counters).toMatchObject({ resumed: 4, lost: 0, doubled: 0, sent: 100, confirmed: 100 });
      expect(rooms[who]?.state).toEqual(rooms[0]?.state);
    }
    const tags = logs[0]?.map(([, , data]) => (typeof data === "string" ? data : Object.keys(data as object)[0])) ?? [];
    expect(tags).toHaveLength(300);
    expect(new Set(tags).size).toBe(300);
    for (const who of [0, 1, 2]) {
      const own = tags.filter((tag) => tag?.startsWith(`${who} `));
      expect(own, "each in the order it was sent").toEqual(
        [0, 1, 2, 3].flatMap((round) => [...Array(25).keys()].map((n) => `${who} ${round} ${n}`)),
      );
    }
    expect(new Set(places.map(({ seq }) => seq)).size).toBe(300);
    await Promise.all(rooms.map((room) => room.leave()));
  });

  it("cuts, clogs that let attempts through late, kills and deploys at random: nothing is lost or doubled", async () => {
    const { seed, roll } = dice();
    const server = await Server.start();
    const networks = await Promise.all([1, 2].map(() => Network.before(server)));
    const impatient = { connectTimeoutMs: 150, pingIntervalMs: 50, pingTimeoutMs: 150 };
    const rooms = await Promise.all(networks.map(({ url }, n) => enter(url, `p${n}`, impatient)));
    const logs = rooms.map(log);
    const sends: Promise<{ seq: number | null }>[] = [];
    for (let round = 0; round < 60; round++) {
      for (const [who, room] of rooms.entries())
        sends.push(room.send(`${who} ${round}`, { to: [] }), room.send({ who, round }));
      const network = networks[roll(2)] as Network;
      switch (roll(8)) {
        case 0:
        case 1:
          network.cut();
          break;
        case 2:
        case 3:
          network.clog(true);
          await sleep(roll(400));
          network.clog(false);
          break;
        case 4:
          if (roll(3) === 0) {
            await server.end(roll(2) ? "SIGKILL" : "SIGTERM");
            await server.again();
          }
          break;
        default:
          await sleep(roll(30));
      }
    }
    const places = await Promise.all(sends);
    const last = Math.max(...places.map(({ seq }, n) => (n % 2 ? (seq ?? 0) : 0)));
    await until(() => rooms.every((room) => room.seq >= last));
    const everybodys = logs.map((seen) => seen.filter(([, , data]) => typeof data === "object"));
    expect(everybodys[0], `seed ${seed}`).toHaveLength(120);
    expect(everybodys[1], `seed ${seed}`).toEqual(everybodys[0]);
    for (const [who, seen] of logs.entries()) {
      const own = seen.filter(([, from]) => from === `p${who}`).map(([, , data]) => data);
      const all = [...Array(60).keys()].flatMap((round) => [`${who} ${round}`, { who, round }]);
      expect(own, `seed ${seed}`).toEqual(all);
      expect(rooms[who]?.counters, `seed ${seed}`).toMatchObject({ lost: 0, doubled: 0, confirmed: 120 });
    }
    expect(
      rooms.some((room) => room.counters.resumed > 0),
      `seed ${seed}`,
    ).toBe(true);
    await Promise.all(rooms.map((room) => room.leave()));
  }, 120_000);

  it("a deploy: going_away gives a slot, and the session goes on", async () => {
    const server = await Server.start();
    const alice = await enter(server.url, "alice");
    const heard = listen(alice);
    await alice.send(1);
    await server.end("SIGTERM");
    await until(() => alice.status === "reconnecting");
    const sending = alice.send(2);
    await server.again();
    await sending;
    expect(heard).toContainEqual(["resumed", { verdict: "continuous", reason: undefined, lost: undefined }]);
    expect(heard.find(([event]) => event === "status")?.[1]).toMatchObject({ reason: { closeCode: 1012 } });
    await alice.leave();
  });

  it("a server that forgets says reset, and what waits reaches the new room", async () => {
    const server = await Server.start({ DURABILITY: "memory" });
    const alice = await enter(server.url, "alice");
    const heard = listen(alice);
    await alice.patch({ old: true });
    await server.end("SIGKILL");
    const sending = alice.send("still here");
    await server.again();
    expect((await sending).seq).toBeGreaterThan(0);
    expect(alice.state).toEqual({});
    expect(heard).toContainEqual(["resumed", { verdict: "reset", reason: "room_restarted", lost: undefined }]);
    await alice.leave();
  });

  it("a page that is loaded again goes on where it was", async () => {
    const server = await Server.start();
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    const before = await enter(server.url, "alice", { storage });
    const bob = await enter(server.url, "bob");
    const { seq } = await bob.patch({ n: 1 });
    await until(() => before.seq === seq && [...kept.values()].some((text) => JSON.parse(text).seq === seq));
    await bob.patch({ n: 2 });
    await bob.send("missed");
    // The old page is still there, as far as the server knows.
    const after = await enter(server.url, "alice", { storage });
    const heard = listen(after);
    expect(after.state).toEqual({ n: 1 });
    await until(() => after.seq >= bob.seq);
    expect(after.state).toEqual({ n: 2 });
    expect(heard.map(([event]) => event).slice(0, 4)).toEqual(["resumed", "patch", "state", "message"]);
    await until(() => before.status === "closed");
    expect(before.reason).toMatchObject({ code: "replaced", closeCode: 4000 });
    await Promise.all([after.leave(), bob.leave()]);
    expect(kept.size).toBe(0);
  });

  it("tokens are renewed in place, and one for somebody else is refused", async () => {
    const server = await Server.start({ JWT_SECRET: SECRET });
    let asked = 0;
    // Expiry is announced at once: 30 s before.
    const end = Math.floor(Date.now() / 1000) + 5;
    const token = () => jwt(SECRET, { sub: "alice", exp: end + 600 * asked++ });
    const alice = await enter(server.url, "alice", { token });
    await until(() => asked === 2);
    // What is waited for is the clock: the first token's end.
    await until(() => Date.now() > end * 1000 + 500);
    expect(alice.counters.resumed).toBe(0);
    await alice.send("with the new token");
    const mallory = enter(server.url, "mallory", { token: jwt(SECRET, { sub: "bob", exp: 4e9 }) });
    await expect(mallory).rejects.toMatchObject({ closeCode: 4003, code: expect.stringMatching(/^token_/) });
    const other = await enter(server.url, "alice", { token: jwt(SECRET, { sub: "alice", exp: 4e9 }) });
    await until(() => alice.status === "closed");
    expect(alice.reason?.closeCode).toBe(4000);
    await other.leave();
  });

  it("a taken seat is a rejection, a full server a wait with words", async () => {
    const server = await Server.start({ MAX_CONNECTIONS_PER_IP: "2" });
    const alice = await enter(server.url, "alice");
    await expect(enter(server.url, "alice")).rejects.toMatchObject({ code: "already_connected", closeCode: 4002 });
    const bob = await enter(server.url, "bob");
    const client = connect(server.url, { game: "table", player: "carol", WebSocket, backoffBaseMs: 1 });
    const joining = client.join();
    await until(() => client.room.reason?.code === "connection_limit");
    expect(client.room.reason?.message).toContain("MAX_CONNECTIONS_PER_IP");
    await bob.leave();
    const carol = await joining;
    await Promise.all([alice.leave(), carol.leave()]);
  });

  it("leave() before the welcome, then a new client for the same player, as React's StrictMode does: never 4002", async () => {
    const { seed, roll } = dice();
    const server = await Server.start();
    for (let round = 0; round < 40; round++) {
      const first = connect(server.url, { game: "strict", player: "alice", WebSocket });
      const joining = first.join().catch((error: { code: string }) => error.code);
      if (roll(2)) await sleep(roll(12));
      if (roll(3)) void first.room.leave();
      else first.room.close();
      const room = await enter(server.url, "alice", { game: "strict" });
      expect(room.status, `seed ${seed}, round ${round}`).toBe("online");
      expect(["left", first.room], `seed ${seed}`).toContain(await joining);
      await room.send(round);
      await room.leave();
    }
  });

  it("close() keeps the seat: the next client of the page goes on where it was, and nothing is missed", async () => {
    const server = await Server.start();
    const bob = await enter(server.url, "bob");
    const before = await enter(server.url, "alice");
    const seen = log(before);
    await bob.send("one");
    await until(() => seen.length === 1);
    before.close();
    await until(() => bob.players.get("alice") === "away");
    await bob.send("two");
    const after = await enter(server.url, "alice");
    const heard = listen(after);
    await bob.send("three");
    await until(() => after.seq === bob.seq);
    expect(
      heard.filter(([event]) => event === "message").map(([, value]) => (value as { data: unknown }).data),
    ).toEqual(["two", "three"]);
    expect(heard).toContainEqual(["resumed", { verdict: "continuous", reason: undefined, lost: undefined }]);
    await Promise.all([after.leave(), bob.leave()]);
  });

  it("without a token at a locked server it ends with the server's words, not with a time-out of its own", async () => {
    const server = await Server.start({ JWT_SECRET: SECRET, AUTH_TIMEOUT_MS: "10000" });
    await expect(enter(server.url, "alice", { token: null })).rejects.toMatchObject({
      code: "auth_timeout",
      closeCode: 4001,
    });
  });

  it("a network that is silent is noticed, and left", async () => {
    const server = await Server.start();
    const network = await Network.before(server);
    const alice = await enter(network.url, "alice", {
      pingIntervalMs: 200,
      pingTimeoutMs: 2_000,
      connectTimeoutMs: 5_000,
    });
    network.clog(true);
    await until(() => alice.status === "reconnecting");
    expect(alice.reason?.code).toBe("heartbeat_timeout");
    const sending = alice.send("later");
    network.clog(false);
    await sending;
    expect(alice.counters).toMatchObject({ lost: 0, doubled: 0 });
    await alice.leave();
  });
});
