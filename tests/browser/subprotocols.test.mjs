//! Owns the tests of tokens that a browser carries as a subprotocol (A14): a browser ends a connection of whose offers none comes back.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; settings are in support.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { jwt, open, serverFor, startBrowser } from "./support.mjs";

const SECRET = "a secret of at least thirty-two bytes";
const OURS = "innkeeper.v1.json";

let browser, stop;
before(async () => {
  ({ browser, stop } = await startBrowser());
});
after(() => stop?.());

/** What the page's own WebSocket makes of these offers: the first frame's type and the protocol, or the close code. */
const knock = (page, path, offers) =>
  page.evaluate(
    ([path, offers]) =>
      new Promise((done) => {
        const socket = new WebSocket(`ws://${location.host}${path}`, offers);
        socket.onmessage = ({ data }) => {
          done([JSON.parse(data).type, socket.protocol]);
          socket.close();
        };
        socket.onclose = ({ code }) => done([code]);
      }),
    [path, offers],
  );

test("a14 a browser gets in with a token as subprotocol where it offers a name besides, and not with the token alone", async (t) => {
  const { port } = await serverFor(t, {
    // Nobody is there: the relay's welcome comes all the same.
    JWT_SECRET: SECRET,
    OPENAI_API_KEY: "k",
    OPENAI_REALTIME_URL: "ws://127.0.0.1:9/",
    HUBS: "lobby=bus",
  });
  const page = await open(t, browser, `http://127.0.0.1:${port}/health`);
  const token = jwt(SECRET, { sub: "alice", exp: Math.floor(Date.now() / 1000) + 600 });
  const [bearer, openai] = [`bearer.${token}`, `openai-insecure-api-key.${token}`];
  for (const path of ["/ws/g/alice", "/ws/lobby"]) {
    assert.deepEqual(await knock(page, path, [OURS, bearer]), ["welcome", OURS], path);
    assert.deepEqual(await knock(page, path, [bearer, OURS]), ["welcome", OURS], path);
    assert.deepEqual(await knock(page, path, ["realtime", bearer]), [1006], path);
    assert.deepEqual(await knock(page, path, [bearer]), [1006], path);
  }
  for (const path of ["/proxy/openai", "/proxy/openai?model=m"]) {
    assert.deepEqual(await knock(page, path, [OURS, bearer]), ["welcome", OURS], path);
    assert.deepEqual(await knock(page, path, ["realtime", bearer]), ["welcome", "realtime"], path);
    // As OpenAI's SDK does it.
    assert.deepEqual(
      await knock(page, path, ["realtime", openai, "openai-beta.realtime-v1"]),
      ["welcome", "realtime"],
      path,
    );
    assert.deepEqual(await knock(page, path, [openai]), [1006], path);
  }
});
