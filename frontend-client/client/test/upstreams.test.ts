//! Owns the proofs of feeds and proxies against the real server: publishing, and the way back to the same upstream.
//! The server is found as in `real.test.ts`.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { describe, expect, it } from "vitest";
import { connect } from "../src/index.js";
import { dice } from "./dice.js";
import { Network, Server, binary, sleep, until } from "./server.js";

describe.skipIf(!binary && !process.env.CI)("the real server", () => {
  it("publishes to a hub without an upstream, and hears it there", async () => {
    const server = await Server.start({}, "hubs:\n  lobby: { provider: bus, publish: [player] }\n");
    const feed = connect(server.url, { WebSocket }).feed("lobby");
    const heard: unknown[] = [];
    feed.subscribe("price", (value, { seq }) => heard.push([seq, value]));
    expect(await feed.publish("price", { eur: 3 })).toEqual({ seq: 1 });
    expect((await feed.publish("price", { eur: 4 })).seq).toBe(2);
    await until(() => heard.length > 0 && (heard.at(-1) as unknown[])[0] === 2);
    expect(heard.at(-1)).toEqual([2, { eur: 4 }]);
    feed.close();
  });

  it("a proxy's client that is cut comes back to the same upstream: every frame arrives once, in order, both ways", async () => {
    const { seed, roll } = dice();
    const upstream = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(upstream, "listening");
    const got: string[] = [];
    let sessions = 0;
    upstream.on("connection", (socket) => {
      sessions++;
      let told = 0;
      const timer = setInterval(() => socket.send(`n ${told++}`), 5);
      socket.on("message", (data, isBinary) => got.push(isBinary ? `binary ${(data as Buffer).length}` : String(data)));
      socket.on("close", () => clearInterval(timer));
    });
    const { port } = upstream.address() as AddressInfo;
    const server = await Server.start({}, `proxies:\n  speech: { url: "ws://127.0.0.1:${port}/", resume_ms: 20000 }\n`);
    const network = await Network.before(server);
    const proxy = connect(network.url, { WebSocket, backoffBaseMs: 10, backoffCapMs: 50 }).proxy("speech");
    const heard: string[] = [];
    const verdicts: string[] = [];
    proxy.on("message", (data) => heard.push(data as string));
    proxy.on("resumed", ({ verdict }) => verdicts.push(verdict));
    // Before its first welcome a client knows no session, so a cut there ends in a new one.
    await until(() => heard.length > 0);
    for (let n = 0; n < 200; n++) {
      proxy.send(n % 10 ? `m ${n}` : new Uint8Array(n + 1));
      await sleep(2);
      if (roll(20) === 0) network.cut();
    }
    network.cut();
    await until(() => got.length >= 200 && verdicts.length > 0 && proxy.status === "online");
    expect(got, `seed ${seed}`).toEqual([...Array(200).keys()].map((n) => (n % 10 ? `m ${n}` : `binary ${n + 1}`)));
    expect(heard, `seed ${seed}`).toEqual(heard.map((_, n) => `n ${n}`));
    expect(new Set(verdicts), `seed ${seed}`).toEqual(new Set(["continuous"]));
    expect(sessions).toBe(1);
    proxy.close();
    upstream.close();
  });
});
