//! Owns the checks of hubs with an upstream, and of proxies (H1 to H6, X1, X4, X5, X6, A14).

import { equal, expect } from "../lib/peer.mjs";
import { withServer } from "../lib/context.mjs";
import { Upstream } from "../lib/upstream.mjs";

const hub = (url) => `
hubs:
  feed:
    url: "${url}"
    subscribe: '{"op":"subscribe","topics":{topic_list}}'
    unsubscribe: '{"op":"unsubscribe","topics":{topic_list}}'
    topic: { parts: [/t] }
    data: /v
    linger_ms: 100
    stale_after_ms: 1000
    backoff: { base_ms: 50, max_ms: 200 }
`;

const proxy = (url) => `
proxies:
  test:
    url: "${url}/realtime"
    headers: { Authorization: "Bearer \${TEST_KEY}" }
    resume_ms: 0
    allowed_types: [hello]
    binary: true
`;

/** Runs `check` with an upstream and a server that is described by `yaml`. */
const withUpstream = (yaml, settings, check) => async (context) => {
  const upstream = await Upstream.start();
  try {
    await withServer({ config: yaml(upstream.url), HUBS: "none", ...settings }, (own, server) =>
      check(own, upstream, server),
    )(context);
  } finally {
    upstream.stop();
  }
};

const subscribed = async (context, ...topics) => {
  const peer = await context.open("/ws/feed");
  equal((await peer.next())?.type, "welcome", "the first frame");
  peer.send({ type: "subscribe", topics });
  await peer.until("subscribed");
  return peer;
};

export default [
  {
    ids: ["H1", "H2", "H3"],
    name: "one upstream connection and one subscription serve all, and end with the last",
    run: withUpstream(hub, {}, async (context, upstream) => {
      const first = await subscribed(context, "a");
      const leg = await upstream.leg();
      const frame = JSON.parse(await upstream.frame(leg, (text) => text.includes('"subscribe"')));
      equal(frame.topics, ["a"], "what the upstream is asked for");
      leg.socket.send('{"t":"a","v":{"p":1}}');
      equal((await first.until("data")).data, { p: 1 }, "the value");
      const second = await subscribed(context, "a");
      const last = await second.until("data");
      equal([last.data, last.snapshot], [{ p: 1 }, true], "the last value for the second subscriber");
      leg.socket.send('{"t":"a","v":2}');
      for (const peer of [first, second]) equal((await peer.until("data")).data, 2, "the live value");
      equal([upstream.connections, leg.frames.length], [1, 0], "connections, and frames besides");
      first.close();
      second.close();
      await upstream.closed(leg);
    }),
  },
  {
    ids: ["H3", "H4", "H5"],
    name: "an upstream that is lost is told, asked for everything again, and leaves one gap",
    run: withUpstream(hub, {}, async (context, upstream) => {
      const peer = await subscribed(context, "a", "b");
      const leg = await upstream.leg();
      await upstream.frame(leg);
      leg.socket.send('{"t":"a","v":1}');
      await peer.until("data");
      leg.socket.terminate();
      await peer.until("feed", (frame) => frame.state === "down");
      const again = await upstream.leg(2);
      const topics = new Set();
      while (topics.size < 2) JSON.parse(await upstream.frame(again)).topics.forEach((topic) => topics.add(topic));
      again.socket.send('{"t":"a","v":2}');
      const gap = await peer.until("gap");
      expect(gap.topics.includes("a") && gap.to >= gap.from, `the gap is ${JSON.stringify(gap)}`);
      equal((await peer.until("data")).data, 2, "the fresh value");
      equal(peer.ended, null, "the client's connection");
    }),
  },
  {
    ids: ["H3"],
    name: "silence makes a feed stale, a value makes it live",
    run: withUpstream(hub, {}, async (context, upstream) => {
      const peer = await subscribed(context, "a");
      const leg = await upstream.leg();
      await peer.until("feed", (frame) => frame.state === "stale");
      leg.socket.send('{"t":"a","v":1}');
      await peer.until("feed", (frame) => frame.state === "live");
    }),
  },
  {
    ids: ["X1", "X2", "X4"],
    name: "a proxy passes frames both ways in order, with the server's credential, and closes with the upstream's code",
    run: withUpstream(proxy, { TEST_KEY: "the-key", AUTH: "off" }, async (context, upstream) => {
      const peer = await context.open("/proxy/test");
      for (let number = 0; number < 20; number += 1) peer.send({ type: "hello", number });
      const leg = await upstream.leg();
      equal(leg.headers.authorization, "Bearer the-key", "the credential");
      for (let number = 0; number < 20; number += 1) {
        const text = await upstream.frame(leg);
        equal(JSON.parse(text).number, number, "the frame at the upstream");
        leg.socket.send(text);
      }
      for (let number = 0; number < 20; number += 1)
        equal((await peer.next()).number, number, "the frame that comes back");
      leg.socket.send(new Uint8Array([1, 2, 3]));
      equal([...new Uint8Array((await peer.next()).binary)], [1, 2, 3], "the binary frame");
      leg.socket.close(4321, "because");
      const { code, reason } = await peer.closed();
      equal([code, reason], [4321, "because"], "the close");
    }),
  },
  {
    ids: ["X3", "X6"],
    name: "what is not allowed gets an error in both shapes and is not passed on; /realtime is the same proxy",
    run: withUpstream(proxy, { TEST_KEY: "the-key", AUTH: "off" }, async (context, upstream) => {
      const peer = await context.open("/proxy/test/realtime");
      peer.send({ type: "forbidden" });
      const error = await peer.until("error");
      equal([error.error?.type, error.error?.code], ["innkeeper", error.code], "the error");
      peer.send({ type: "hello" });
      const leg = await upstream.leg();
      equal(JSON.parse(await upstream.frame(leg)).type, "hello", "the first frame at the upstream");
      peer.close();
      await upstream.closed(leg);
    }),
  },
  {
    ids: ["A14"],
    name: "a proxy echoes the first subprotocol that is no credential",
    run: withUpstream(proxy, { TEST_KEY: "the-key", AUTH: "off" }, async (context) => {
      const peer = await context.open("/proxy/test", { protocols: ["realtime", "openai-insecure-api-key.x"] });
      equal(peer.socket.protocol, "realtime", "the subprotocol");
    }),
  },
  {
    ids: ["X5"],
    name: "without tokens a proxy with a credential is off",
    run: withUpstream(proxy, { TEST_KEY: "the-key" }, async (context) => {
      const { code, error } = await (await context.open("/proxy/test")).closed();
      equal([code, error?.code], [4004, "no_such_proxy"], "the close and the error");
    }),
  },
];
