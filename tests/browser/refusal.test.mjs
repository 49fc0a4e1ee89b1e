//! Owns the tests of what a person is told who is not let in, or not any more: origin, limits, tokens, a seat that is taken.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; settings are in support.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fact, isTrue, joined, line, lines, online, say, status } from "./room.mjs";
import { jwt, open, serverFor, startBrowser, until } from "./support.mjs";

const SECRET = "a secret of at least thirty-two bytes";
const now = () => Math.floor(Date.now() / 1000);
const tokenOf = (player, seconds) => jwt(SECRET, { sub: player, exp: now() + seconds });
/** Seconds until a token runs out that is waited for: long enough for a slow machine to open the page and type. */
const SOON = 12;

let browser, stop;
before(async () => {
  ({ browser, stop } = await startBrowser());
});
after(() => stop?.());

/** A page that knocks and is told something. */
async function refused(t, port, player, words, hash = "") {
  const page = await open(t, browser, `http://127.0.0.1:${port}/?room=door&player=${player}${hash}`);
  await page.locator("#refused", { hasText: words }).waitFor();
  return page;
}

test("a2 a page of a refused origin says so, names the setting, and stops knocking", async (t) => {
  const { port } = await serverFor(t, { ALLOWED_ORIGINS: "https://elsewhere.example" });
  const page = await refused(
    t,
    port,
    "alice",
    /does not take connections from this page's address.*ALLOWED_ORIGINS.*\(invalid_origin\)/,
  );
  assert.ok(await page.locator("#table").isHidden());
  assert.ok(await page.locator("#go").isEnabled());
});

test("a1 a server that is switched off is said to be", async (t) => {
  const { port } = await serverFor(t, { ENABLE_WS_PROXY: "false" });
  await refused(t, port, "alice", /takes no connections at the moment.*\(disabled\)/);
});

test("a3 too many attempts are said to be too many, and when to try again", async (t) => {
  const { port } = await serverFor(t, { RATE_LIMIT_MAX_REQUESTS: "1" });
  await joined(t, browser, port, "door", "alice");
  await refused(t, port, "bob", /Too many attempts from your address.*retry in \d+ s.*\(rate_limit\)/);
});

test("a5 past the connection limit a page says which limit, in the server's words, and gets in by itself when there is a place", async (t) => {
  const { port } = await serverFor(t, { MAX_CONNECTIONS_PER_IP: "1" });
  const alice = await joined(t, browser, port, "door", "alice");
  await alice.locator("#turn", { hasText: "Two seats are free." }).waitFor();
  const bob = await refused(
    t,
    port,
    "bob",
    /no more connections.*The server says:.*already holds 1 connection.*\(MAX_CONNECTIONS_PER_IP\).*\(connection_limit\)/,
  );
  await alice.close();
  await online(bob);
});

test("c1 a name that is taken stops the page with the reason, and another name gets in", async (t) => {
  const { port } = await serverFor(t);
  await joined(t, browser, port, "door", "alice");
  const second = await refused(t, port, "alice", /Somebody with this name.*Pick another name.*\(4002\)/);
  await second.locator("#dice").click();
  await second.locator("#go").click();
  await online(second);
});

test("a7 a server that wants a token says so, a wrong one is refused, and a good one gets in", async (t) => {
  const { port } = await serverFor(t, { JWT_SECRET: SECRET, AUTH_TIMEOUT_MS: "3000" });
  const page = await refused(t, port, "alice", /wants a token.*\(auth_timeout\)/);
  await page.locator("#token").fill("not.a.token");
  await page.locator("#go").click();
  await page.locator("#refused", { hasText: /did not accept the token. The server says: .*\(4003\)/ }).waitFor();
  await page.locator("#token").fill(tokenOf("alice", 3600));
  await page.locator("#go").click();
  await online(page);
  assert.doesNotMatch(page.url(), /token/);
});

test("a13 a token about to expire is refreshed in place: the connection never ends", async (t) => {
  const { port } = await serverFor(t, { JWT_SECRET: SECRET });
  const end = now() + SOON + 1;
  const alice = await joined(t, browser, port, "fresh", "alice", { hash: `#token=${tokenOf("alice", SOON)}` });
  await alice.locator("#ask-token[open]").waitFor();
  assert.match(await alice.locator("#ask-why").textContent(), /expires in \d+ s/);
  await alice.locator("#fresh").fill(tokenOf("alice", 3600));
  await alice.locator("#fresh").press("Enter");
  // What is waited for is the clock: the first token's end.
  await until("the first token's end", () => now() > end);
  await say(alice, "still here");
  await line(alice, "still here").waitFor();
  assert.equal(await fact(alice, "resumed"), "0×");
});

test("a13 an expired token: the page says so, and with a fresh one nothing was lost", async (t) => {
  const { port } = await serverFor(t, { JWT_SECRET: SECRET });
  const bob = await joined(t, browser, port, "expired", "bob", { hash: `#token=${tokenOf("bob", 3600)}` });
  const alice = await joined(t, browser, port, "expired", "alice", { hash: `#token=${tokenOf("alice", SOON)}` });
  await status(alice, "reconnecting");
  assert.match(await alice.locator("#status").getAttribute("data-why"), /token has expired/);
  await say(bob, "while you were out");
  await line(bob, "while you were out").waitFor();
  await alice.locator("#fresh").fill(tokenOf("alice", 3600));
  await alice.locator("#ask-token button[value=go]").click();
  await line(alice, "while you were out").waitFor();
  assert.deepEqual(await lines(alice), ["while you were out"]);
  await isTrue(alice);
});
