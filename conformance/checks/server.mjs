//! Owns the checks of admission, HTTP and restarts (P1, A1 to A13, D1, D4, E1, B1).

import { withServer } from "../lib/context.mjs";
import { equal, expect } from "../lib/peer.mjs";
import { SECRET, token } from "../lib/token.mjs";

export default [
  {
    ids: ["P1", "A4", "A8"],
    name: "a wrong path is 400 with a code and a message",
    async run(context) {
      for (const path of ["/ws/a/b/c", "/ws/-a/b", "/ws/a/", `/ws/${"x".repeat(65)}/b`]) {
        expect(!(await context.attempt(path).opened()), `${path} is accepted`);
      }
      const answer = await context.http("GET", "/ws/a/b");
      equal(answer.status, 426, "a request that is no upgrade");
      expect(answer.json?.error?.code && answer.json?.error?.message, "no error in the body");
    },
  },
  {
    ids: ["A1"],
    name: "a server whose service is off answers 503",
    run: withServer({ WEBSOCKET_ENABLED: "false" }, async (context) => {
      const peer = context.attempt("/ws/a/b");
      equal([await peer.opened(), peer.refusal?.status], [false, 503], "the upgrade");
    }),
  },
  {
    ids: ["A2", "A9"],
    name: "an origin that is not on the list is refused, one that is comes in",
    run: withServer({ ALLOWED_ORIGINS: "https://good.example,https://*.wild.example" }, async (context) => {
      const opened = (origin) => context.attempt("/ws/g/alice", { headers: { origin } }).opened();
      equal(
        [
          await opened("https://bad.example"),
          await opened("https://good.example.evil.example"),
          await opened("http://good.example"),
        ],
        [false, false, false],
        "foreign origins",
      );
      equal(
        [await opened("https://good.example"), await opened("https://a.wild.example")],
        [true, true],
        "listed origins",
      );
    }),
  },
  {
    ids: ["A5", "A8"],
    name: "one connection too many of an address is accepted and closed with 1008 after a reason",
    run: withServer({ MAX_CONNECTIONS_PER_IP: "2" }, async (context) => {
      await context.join("alice");
      await context.join("bob");
      const { code, error } = await (await context.open(`/ws/${context.game}/carol`)).closed();
      equal([code, error?.code], [1008, "connection_limit"], "the close and the error");
    }),
  },
  {
    ids: ["A7", "A11", "A13"],
    name: "tokens come in by each way, wrong ones close with 4003, none in time with 4001",
    run: withServer({ JWT_SECRET: SECRET, AUTH_TIMEOUT_MS: "1000" }, async (context) => {
      const good = token({ sub: "alice" });
      const ways = {
        query: { path: `/ws/${context.game}/alice?token=${good}` },
        header: { path: `/ws/${context.game}/alice`, headers: { authorization: `Bearer ${good}` } },
        subprotocol: { path: `/ws/${context.game}/alice`, protocols: ["innkeeper.v1.json", `bearer.${good}`] },
      };
      for (const [way, { path, ...options }] of Object.entries(ways)) {
        const peer = await context.open(path, options);
        equal((await peer.next())?.type, "welcome", `by ${way}`);
        if (way === "subprotocol") equal(peer.socket.protocol, "innkeeper.v1.json", "the subprotocol that is echoed");
      }
      const first = await context.open(`/ws/${context.game}/alice`);
      first.send({ type: "auth", token: good });
      equal((await first.next())?.type, "welcome", "by the first frame");
      for (const bad of [token({ sub: "bob" }), token({ sub: "alice", exp: 1 }), `${good}x`, "nonsense"]) {
        const peer = await context.open(`/ws/${context.game}/alice?token=${bad}`);
        equal((await peer.closed()).code, 4003, "a wrong token's close code");
      }
      const late = await context.open(`/ws/${context.game}/alice`);
      equal((await late.closed()).code, 4001, "the close code without a token");
    }),
  },
  {
    ids: ["D1", "R5"],
    name: "after kill -9 everybody continues, and every id is still applied once",
    run: withServer({}, async (context, server) => {
      const alice = await context.join("alice");
      for (let id = 1; id <= 20; id += 1) alice.send({ type: "send", id, data: id });
      const { seq } = await alice.until("message", (frame) => frame.data === 10);
      await alice.until("message", (frame) => frame.data === 20);
      await server.kill();
      await server.start();
      const again = await server.context.join(
        "alice",
        { session: alice.welcome.session, seq: String(seq) },
        context.game,
      );
      equal(
        [again.welcome.resume, again.welcome.last_id, again.welcome.epoch],
        ["continuous", 20, alice.welcome.epoch],
        "welcome",
      );
      for (let data = 11; data <= 20; data += 1) equal((await again.until("message")).data, data, "a missed message");
      again.send({ type: "send", id: 20, data: "again" });
      await again.until("ack");
    }),
  },
  {
    ids: ["D1", "R3"],
    name: "a room in memory is reset by a restart, with a reason",
    run: withServer({ DURABILITY: "memory" }, async (context, server) => {
      const alice = await context.join("alice");
      await server.kill();
      await server.start();
      const again = await server.context.join("alice", { session: alice.welcome.session, seq: "1" }, context.game);
      equal(again.welcome.resume, "reset", "the verdict");
      expect(
        again.welcome.epoch !== alice.welcome.epoch && typeof again.welcome.reason === "string",
        "the same epoch, or no reason",
      );
    }),
  },
  {
    ids: ["D4", "A6"],
    name: "SIGTERM tells each client when to come back, closes with 1012 and ends with 0",
    run: withServer({}, async (context, server) => {
      const alice = await context.join("alice");
      const exit = server.kill("SIGTERM");
      const farewell = await alice.until("going_away");
      equal(farewell.code, 1012, "the frame's code");
      expect(Number.isInteger(farewell.reconnect_after_ms), "no reconnect_after_ms");
      equal((await alice.closed()).code, 1012, "the close code");
      equal(await exit, 0, "the exit code");
    }),
  },
  {
    ids: ["B1"],
    name: "a client is pinged, and one that is silent is closed with 4009",
    run: withServer({ WS_PING_INTERVAL: "1", WS_PING_TIMEOUT: "1" }, async (context) => {
      const alice = await context.join("alice");
      expect(Number.isInteger((await alice.until("ping")).time), "a ping without time");
      // The library answers WebSocket pings by itself, which counts as life.
      alice.socket._receiver?.removeAllListeners("ping");
      if (!alice.socket._receiver) return;
      equal((await alice.closed()).code, 4009, "the close code");
    }),
  },
  {
    ids: ["E1"],
    name: "the back end appends once under a key, kicks and reads; nobody else does",
    async run(context) {
      const alice = await context.join("alice");
      const path = `/api/games/${context.game}`;
      const key = { "idempotency-key": `key-${context.game}` };
      const first = await context.api("POST", `${path}/events`, { data: "hello" }, key);
      equal(first.status, 200, "the status");
      const again = await context.api("POST", `${path}/events`, { data: "hello" }, key);
      equal(again.json, first.json, "the answer to the repeat");
      const message = await alice.until("message");
      equal([message.from, message.data, message.seq], ["@server", "hello", first.json.seq], "the message");
      equal((await context.http("GET", path)).status, 401, "without a secret");
      equal(
        (await context.http("GET", path, { headers: { authorization: "Bearer wrong" } })).status,
        403,
        "with a wrong one",
      );
      equal((await context.api("GET", path)).json.seq, first.json.seq, "the room's seq");
      await context.api("POST", `${path}/kick`, { player: "alice" });
      equal((await alice.closed()).code, 4010, "the close code of a kick");
    },
  },
];
