//! Owns the checks of admission by rate, subprotocol and secret (A3, A9a, A10a, A14, A15, A16, P3, D2).

import { Deviation, equal, expect } from "../lib/peer.mjs";
import { withServer } from "../lib/context.mjs";

export default [
  {
    ids: ["P3"],
    name: "the subprotocol is echoed if it is known, and none is needed",
    async run(context) {
      const offered = async (protocols) =>
        (await context.open(`/ws/${context.game}/p${protocols.length}`, { protocols })).socket.protocol;
      equal(await offered(["innkeeper.v1.json"]), "innkeeper.v1.json", "the subprotocol");
      equal(await offered([]), "", "without one");
    },
  },
  {
    ids: ["A3", "A8"],
    name: "too many attempts of an address are 429 with Retry-After",
    run: withServer({ RATE_LIMIT_MAX_REQUESTS: "3", RATE_LIMIT_WINDOW_MS: "60000" }, async (context) => {
      const refused = [];
      for (let number = 0; number < 5; number += 1) {
        const peer = context.attempt(`/ws/${context.game}/p${number}`);
        if (!(await peer.opened())) refused.push(peer.refusal);
      }
      equal(
        refused.map((refusal) => refusal?.status),
        [429, 429],
        "the statuses of those refused",
      );
      expect(Number(refused[0].headers["retry-after"]) > 0, "no Retry-After");
    }),
  },
  {
    ids: ["A9a"],
    name: "a page that may connect may also call the HTTP API, with its headers",
    run: withServer({ ALLOWED_ORIGINS: "https://good.example" }, async (context) => {
      const ask = (origin) =>
        context.http("OPTIONS", `/api/games/${context.game}`, {
          headers: {
            origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
          },
        });
      const allowed =
        (await ask("https://good.example")).headers.get("access-control-allow-headers")?.toLowerCase() ?? "";
      for (const name of ["authorization", "content-type", "idempotency-key", "last-event-id", "x-innkeeper-session"]) {
        expect(allowed.includes(name), `${name} is not allowed`);
      }
      equal((await ask("https://bad.example")).headers.get("access-control-allow-origin"), null, "for a foreign page");
    }),
  },
  {
    ids: ["A10", "A10a"],
    name: "in development mode the operator key opens the API, and no address does",
    run: withServer({}, async (context) => {
      equal((await context.http("GET", "/api/games")).status, 401, "without the key");
      expect(context.operatorKey, "there is no operator.key");
      equal((await context.api("GET", "/api/games")).status, 200, "with the key");
      for (const name of ["x-forwarded-for", "x-real-ip", "forwarded"]) {
        equal(
          (await context.http("GET", "/api/games", { headers: { [name]: "127.0.0.1" } })).status,
          401,
          `with ${name}`,
        );
      }
    }),
  },
  {
    ids: ["A15"],
    name: "a short secret stops the start",
    async run(context) {
      for (const name of ["JWT_SECRET", "HTTP_API_SECRET"]) {
        try {
          const server = await context.server({ [name]: "short" });
          await server.stop();
        } catch (error) {
          if (error instanceof Deviation && error.message === "the server exits with 64") continue;
          throw error;
        }
        throw new Deviation(`a short ${name} is taken`);
      }
    },
  },
  {
    ids: ["A16", "H1", "H7", "H9"],
    name: "an event bus keeps the last value of a topic, and HUB_TOKEN opens it",
    run: withServer(
      {
        HUBS: "lobby=bus",
        HUB_TOKEN: "sixteen-bytes-or-more",
        JWT_SECRET: "j".repeat(32),
        HTTP_API_SECRET: "h".repeat(32),
      },
      async (context) => {
        const first = await context.open("/ws/lobby?token=sixteen-bytes-or-more");
        equal((await first.next())?.type, "welcome", "the first frame");
        const published = await context.api("POST", "/api/hubs/lobby/topics/score", { data: { a: 1 } });
        equal(published.status, 200, "the status of a publication");
        first.send({ type: "subscribe", topics: ["score"] });
        equal((await first.until("subscribed")).topics, ["score"], "the topics");
        const last = await first.until("data");
        equal(
          [last.topic, last.data, last.snapshot, last.seq],
          ["score", { a: 1 }, true, published.json.seq],
          "the last value",
        );
        await context.api("POST", "/api/hubs/lobby/topics/score", { data: 2 });
        equal((await first.until("data")).data, 2, "the live value");
        const wrong = await context.open("/ws/lobby?token=another-sixteen-bytes");
        equal((await wrong.closed()).code, 4003, "the close code of a wrong token");
        const health = await context.http("GET", "/api/ws-health");
        equal(
          [health.status, health.json?.healthy, health.json?.metrics?.lobby?.totalClients],
          [200, true, 1],
          "ws-health",
        );
      },
    ),
  },
];
