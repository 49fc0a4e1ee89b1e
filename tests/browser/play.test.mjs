//! Owns the tests of the page in a real browser against the real server: what a player sees and what is never lost.
//! Run by scripts/test, or `INNKEEPER_BIN=target/debug/innkeeper npm test` in this folder.
//
// INNKEEPER_BIN  the server's binary; the page is part of it
// INNKEEPER_PAGE a file to serve in place of the page in the binary: for working on it without a build
// CHROMIUM       the browser; Debian's by default
// SCREENSHOTS    a folder for pictures; a temporary one by default
// PATIENCE_MS    how long to wait for what must come

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const PATIENCE = Number(process.env.PATIENCE_MS ?? 20_000);
const binary = process.env.INNKEEPER_BIN;
assert.ok(binary, "set INNKEEPER_BIN to the server's binary, e.g. ../../target/debug/innkeeper");

let browser, profile, pictures, server;

/** The server on a free port (or a given one), ready, with a DATA_DIR of its own unless one is given; its quiet end is awaited by `stop`. */
async function startServer({ port = 0, ...settings } = {}) {
  const data = settings.DATA_DIR ?? await mkdtemp(join(tmpdir(), "innkeeper-data-"));
  if (!settings.DATA_DIR) directories.add(data);
  const child = spawn(binary, [], {
    env: { DATA_DIR: data, HOST: "127.0.0.1", PORT: String(port), LOG_FORMAT: "json", MAX_CONNECTIONS_PER_IP: "100", DRAIN_SPREAD_MS: "200", ...settings },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const listening = new Promise((resolve, reject) => {
    lines.on("line", (text) => {
      const line = JSON.parse(text);
      if (line.message === "listening") resolve(line.port);
    });
    child.once("error", reject);
    gone.then((code) => reject(new Error(`the server ended with ${code}`)));
  });
  servers.add(child);
  gone.then(() => servers.delete(child));
  return { port: await listening, stop: () => (child.kill("SIGTERM"), gone) };
}

/** A test that failed half way has not stopped its servers; nothing may outlive this process. */
const servers = new Set();
const directories = new Set();
process.on("exit", () => {
  servers.forEach((child) => child.kill("SIGKILL"));
  directories.forEach((directory) => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
});

before(async () => {
  pictures = process.env.SCREENSHOTS ?? await mkdtemp(join(tmpdir(), "innkeeper-pictures-"));
  profile = await mkdtemp(join(tmpdir(), "innkeeper-browser-"));
  server = await startServer();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      // A page that did not come over the network may not connect to this machine.
      ...(process.env.INNKEEPER_PAGE ? ["--disable-features=LocalNetworkAccessChecks"] : []),
    ],
    // A home of its own: whatever the browser leaves behind goes with it.
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  });
});

after(async () => {
  await browser?.close();
  await server?.stop();
  servers.forEach((child) => child.kill("SIGKILL"));
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  console.log(`screenshots: ${pictures}`);
});

/** A page in a browser of its own (its own storage). What it complains of fails the test that opened it. */
async function open(t, { port = server.port, hash = "", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => {
    // The browser itself reports every failed connection; that is what some tests are about.
    if (message.type() === "error" && !/WebSocket connection|Failed to load resource/.test(message.text())) page.complaints.push(message.text());
  });
  t.after(() => assert.deepEqual(page.complaints, []));
  if (process.env.INNKEEPER_PAGE) {
    const body = await readFile(process.env.INNKEEPER_PAGE, "utf8");
    await page.route((url) => url.pathname === "/", (route) => route.fulfill({ body, contentType: "text/html; charset=utf-8" }));
  }
  await page.goto(`http://127.0.0.1:${port}/${hash}`);
  return page;
}

async function joined(t, game, player, options = {}) {
  const page = await open(t, { ...options, hash: `#game=${game}&player=${player}${options.extra ?? ""}` });
  await phase(page, "live");
  return page;
}

const phase = (page, name) => page.locator(`#status[data-phase=${name}]`).waitFor();
const body = (page, text) => page.locator("#log .row.message:not(.pending) .body", { hasText: text });
const presence = (page, player, status) => page.locator(`#players li[data-player="${player}"][data-status=${status}]`).waitFor();
const resumed = (page, verdict) => page.locator(`#log [data-resume=${verdict}]`).last().waitFor();
const picture = (page, name) => page.screenshot({ path: join(pictures, `${name}.png`) });

async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.locator("#text").press("Enter");
}

/** Every message the page shows, in order; unconfirmed ones are not messages yet. */
const messages = (page) => page.locator("#log .row.message:not(.pending) .body").allTextContents();
const sequence = async (page) => (await page.locator("#log .row[data-seq]").evaluateAll((rows) => rows.map((row) => Number(row.dataset.seq))));

test("two pages meet: each sees the other's presence and messages, as text or JSON, in one order", async (t) => {
  const alice = await joined(t, "meet", "alice");
  const bob = await joined(t, "meet", "bob");
  await presence(alice, "bob", "joined");
  await presence(bob, "alice", "joined");
  await say(alice, "hello bob");
  await body(bob, "hello bob").waitFor();
  await say(bob, '{"dice":[3,5]}');
  await body(alice, '{"dice":[3,5]}').waitFor();
  await body(bob, '{"dice":[3,5]}').waitFor();
  assert.deepEqual(await messages(alice), ["hello bob", '{"dice":[3,5]}']);
  assert.deepEqual(await messages(bob), await messages(alice));
  await bob.locator("#leave").click();
  await phase(bob, "ended");
  await alice.locator('#log .row.presence', { hasText: "bob left" }).waitFor();
  assert.equal(await alice.locator("#players li").count(), 1);
});

test("hostile text stays text", async (t) => {
  const alice = await joined(t, "hostile", "alice");
  const bob = await joined(t, "hostile", "bob");
  const text = '<img src=x onerror="document.title=1"><b>bold</b>';
  await say(alice, text);
  await body(bob, "bold").waitFor();
  assert.deepEqual(await messages(bob), [text]);
  assert.equal(await bob.locator("#log img, #log b").count(), 0);
});

test("a form joins a game, and the address names it", async (t) => {
  const page = await open(t);
  assert.equal(await page.locator("#game").inputValue(), "test-game");
  assert.match(await page.locator("#player").inputValue(), /^[a-z]+-[a-z]+-\d+$/);
  await picture(page, "join");
  await page.locator("#player").fill("carol");
  await page.locator("#join button.primary").click();
  await phase(page, "live");
  assert.equal(new URL(page.url()).hash, "#game=test-game&player=carol");
});

test("c1 a name that is taken stops the page with the reason, and it does not try again", async (t) => {
  await joined(t, "taken", "alice");
  const second = await open(t, { hash: "#game=taken&player=alice" });
  await phase(second, "ended");
  assert.match(await second.locator("#ended").textContent(), /already connected.*4002/);
});

test("r5 a cut page resumes: what the others sent and what it wrote itself is there once, in order", async (t) => {
  const alice = await joined(t, "cut", "alice");
  const bob = await joined(t, "cut", "bob");
  await presence(alice, "bob", "joined");
  await say(alice, "before");
  await body(bob, "before").waitFor();
  for (const round of [1, 2]) {
    await bob.locator("#cut").click();
    await phase(bob, "away");
    await presence(alice, "bob", "away");
    for (const word of ["one", "two", "three"]) await say(alice, `${word} ${round}`);
    await body(alice, `three ${round}`).waitFor();
    await say(bob, `written offline ${round}`);
    if (round === 1) await picture(bob, "away");
    await bob.locator("#log [data-resume=continuous]").nth(round - 1).waitFor();
    await presence(alice, "bob", "joined");
    await body(alice, `written offline ${round}`).waitFor();
    await body(bob, `written offline ${round}`).waitFor();
  }
  const expected = ["before", ...[1, 2].flatMap((n) => [`one ${n}`, `two ${n}`, `three ${n}`, `written offline ${n}`])];
  assert.deepEqual(await messages(alice), expected);
  assert.deepEqual(await messages(bob), expected);
  assert.equal(await bob.locator("#log .pending").count(), 0);
  const seen = await sequence(bob);
  assert.deepEqual(seen, [...new Set(seen)].sort((a, b) => a - b), "every seq once, rising");
});

test("s2 a message whose confirmation was lost is sent again under its id and applied once", async (t) => {
  const alice = await joined(t, "unsure", "alice");
  const bob = await joined(t, "unsure", "bob");
  await presence(alice, "bob", "joined");
  // Sent and cut in one turn of the page: it leaves, and no answer can come back.
  await bob.evaluate(() => {
    document.getElementById("text").value = "sent into the dark";
    document.getElementById("composer").requestSubmit();
    document.getElementById("cut").click();
  });
  await resumed(bob, "continuous");
  await body(bob, "sent into the dark").waitFor();
  await say(bob, "after");
  await body(alice, "after").waitFor();
  assert.deepEqual(await messages(alice), ["sent into the dark", "after"]);
  assert.deepEqual(await messages(bob), ["sent into the dark", "after"]);
});

test("r5 a reloaded page has its seat and its state again", async (t) => {
  const alice = await joined(t, "reload", "alice");
  await alice.locator("#merge").fill('{"score":{"alice":7}}');
  await alice.locator("#patch button").click();
  await alice.locator("#document", { hasText: '"alice": 7' }).waitFor();
  await alice.reload();
  await resumed(alice, "continuous");
  assert.match(await alice.locator("#document").textContent(), /"alice": 7/);
});

test("patches fold into one state on every page, and a guarded one is refused after another's change", async (t) => {
  const alice = await joined(t, "state", "alice");
  const bob = await joined(t, "state", "bob");
  const patch = async (page, text) => {
    await page.locator("#merge").fill(text);
    await page.locator("#patch button").click();
  };
  await patch(alice, '{"score":{"alice":1,"bob":2},"round":1}');
  await bob.locator("#document", { hasText: '"round": 1' }).waitFor();
  await patch(bob, '{"score":{"alice":null},"__proto__":{"x":1}}');
  await alice.locator("#document", { hasText: "__proto__" }).waitFor();
  const state = JSON.parse(await alice.locator("#document").textContent());
  assert.deepEqual(state.score, { bob: 2 });
  assert.equal(await alice.evaluate(() => ({}).x), undefined);
  // Guarded by what bob saw last, while alice changes it behind his back.
  await bob.locator("#cut").click();
  await phase(bob, "away");
  await patch(alice, '{"round":2}');
  await alice.locator("#document", { hasText: '"round": 2' }).waitFor();
  await bob.locator("#guarded").check();
  await patch(bob, '{"round":9}');
  await bob.locator("#log .error", { hasText: "conflict" }).waitFor();
  await bob.locator("#document", { hasText: '"round": 2' }).waitFor();
  await patch(alice, '"no object"');
  await alice.locator("#log .error", { hasText: "a patch is a JSON object" }).waitFor();
});

test("s10 a spectator sees the room and has nothing to send with", async (t) => {
  const alice = await joined(t, "watched", "alice");
  const eve = await joined(t, "watched", "eve", { extra: "&spectate=1" });
  await say(alice, "is anybody there?");
  await body(eve, "is anybody there?").waitFor();
  assert.ok(await eve.locator("#composer").isHidden());
  assert.equal(await alice.locator("#players li").count(), 1);
});

test("tic-tac-toe is played to a win; an illegal move shows the error", async (t) => {
  const alice = await joined(t, "tic-tac-toe-b", "alice");
  const bob = await joined(t, "tic-tac-toe-b", "bob");
  const cell = (page, n) => page.locator(`#cells [data-cell="${n}"]`);
  const marked = (page, n, mark) => page.locator(`#cells [data-cell="${n}"][data-mark=${mark}]`).waitFor();
  await alice.locator("#turn", { hasText: "Your turn." }).waitFor();
  await bob.locator("#turn", { hasText: "alice is thinking." }).waitFor();
  await cell(bob, 0).click();
  await bob.locator("#board-note", { hasText: "it is the other player's turn" }).waitFor();
  const moves = [[alice, 0, "X"], [bob, 4, "O"], [alice, 1, "X"], [bob, 8, "O"]];
  for (const [page, n, mark] of moves) {
    await cell(page, n).click();
    for (const each of [alice, bob]) await marked(each, n, mark);
  }
  await cell(alice, 4).click();
  await alice.locator("#board-note", { hasText: "that cell is taken" }).waitFor();
  await alice.mouse.move(0, 0);
  await picture(alice, "play");
  await cell(alice, 2).click();
  await alice.locator("#turn", { hasText: "You won." }).waitFor();
  await bob.locator("#turn", { hasText: "alice won." }).waitFor();
  assert.equal(await bob.locator("#cells [data-won=true]").count(), 3);
  await picture(bob, "lost");
  await bob.locator("#again").click();
  await alice.locator("#turn", { hasText: "Your turn." }).waitFor();
});

test("d4 a restarted server: the page is told, comes back by itself, and says truthfully that the room began anew", async (t) => {
  const first = await startServer();
  t.after(() => first.stop());
  const alice = await joined(t, "restart", "alice", { port: first.port });
  await say(alice, "before the deploy");
  await body(alice, "before the deploy").waitFor();
  assert.equal(await first.stop(), 0);
  await phase(alice, "away");
  const second = await startServer({ port: first.port });
  t.after(() => second.stop());
  await resumed(alice, "reset");
  await say(alice, "after the deploy");
  await body(alice, "after the deploy").waitFor();
});

test("a7 with a secret the page says that a token is needed, and a wrong one is refused", async (t) => {
  const guarded = await startServer({ JWT_SECRET: "a secret of at least thirty-two bytes", AUTH_TIMEOUT_MS: "200" });
  t.after(() => guarded.stop());
  const page = await open(t, { port: guarded.port, hash: "#game=g&player=alice" });
  await phase(page, "ended");
  assert.match(await page.locator("#ended").textContent(), /token.*4001/);
  await page.locator("#token").fill("not.a.token");
  await page.locator("#join button.primary").click();
  await page.locator("#ended", { hasText: "4003" }).waitFor();
});

test("the page fits a phone and the dark", async (t) => {
  const options = { viewport: { width: 390, height: 780 }, colorScheme: "dark", isMobile: true, hasTouch: true };
  const page = await joined(t, "tic-tac-toe-phone", "alice", options);
  await picture(page, "phone");
  await page.screenshot({ path: join(pictures, "phone-whole.png"), fullPage: true });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `scrolls sideways: ${width}`);
});
