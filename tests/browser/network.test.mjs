//! Owns the tests of the demo on a bad network: cuts, offline, a server killed and restarted, a deploy.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; settings are in support.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { draw, fact, isTrue, joined, line, lines, presence, say, settled, status, strokes } from "./room.mjs";
import { serverFor, startBrowser, startRelay, startServer, until } from "./support.mjs";

let browser, stop;
before(async () => {
  ({ browser, stop } = await startBrowser());
});
after(() => stop?.());

test("r5 a page that is cut for 5 s resumes: what both wrote and drew meanwhile is there once, in one order", async (t) => {
  const { port } = await serverFor(t),
    relay = await startRelay(t, port);
  const alice = await joined(t, browser, port, "cut", "alice"),
    bob = await joined(t, browser, relay.port, "cut", "bob");
  await say(alice, "before");
  await line(bob, "before").waitFor();
  for (const round of [1, 2]) {
    const began = Date.now();
    // However long it takes what happens meanwhile, the cut is not over before it.
    relay.shut();
    await bob.locator("#cut").click();
    await presence(alice, "bob", "away");
    for (const word of ["one", "two", "three"]) await say(alice, `${word} ${round}`);
    await draw(alice, [
      [0.1 * round, 0.2],
      [0.1 * round, 0.7],
    ]);
    await line(alice, `three ${round}`).waitFor();
    await say(bob, `written offline ${round}`);
    await draw(bob, [
      [0.5 + 0.1 * round, 0.2],
      [0.5 + 0.1 * round, 0.7],
    ]);
    assert.equal(await bob.locator("#sheet").getAttribute("data-pending"), "1");
    assert.equal(await bob.locator("#log .pending .body").textContent(), `written offline ${round}`);
    relay.open();
    await bob
      .locator("#log .resume.continuous")
      .nth(round - 1)
      .waitFor();
    assert.ok(Date.now() - began >= 5000, "nothing gets through for 5 s");
    await presence(alice, "bob", "joined");
    for (const page of [alice, bob]) {
      await line(page, `written offline ${round}`).waitFor();
      await strokes(page, 2 * round);
    }
    await until("counted", async () => (await fact(bob, "resumed")) === `${round}×`);
  }
  const expected = ["before", ...[1, 2].flatMap((n) => [`one ${n}`, `two ${n}`, `three ${n}`, `written offline ${n}`])];
  for (const page of [alice, bob]) {
    assert.deepEqual(await lines(page), expected);
    await settled(page);
    await isTrue(page);
  }
});

test("s2 a message whose confirmation was lost is sent again under its id and applied once", async (t) => {
  const { port } = await serverFor(t),
    alice = await joined(t, browser, port, "unsure", "alice"),
    bob = await joined(t, browser, port, "unsure", "bob");
  await presence(alice, "bob", "joined");
  // Sent and cut in one turn of the page: it leaves, and no answer can come back.
  await bob.evaluate(() => {
    document.getElementById("text").value = "sent into the dark";
    document.getElementById("composer").requestSubmit();
    document.getElementById("cut").click();
  });
  await line(alice, "sent into the dark").waitFor();
  await bob.locator("#log .resume.continuous").waitFor();
  await say(bob, "after");
  for (const page of [alice, bob]) {
    await line(page, "after").waitFor();
    assert.deepEqual(await lines(page), ["sent into the dark", "after"]);
    await isTrue(page);
  }
});

test("r5 a page without a network (offline, its packets swallowed) catches up by itself when there is one again", async (t) => {
  const { port } = await serverFor(t),
    relay = await startRelay(t, port);
  const alice = await joined(t, browser, port, "offline", "alice"),
    bob = await joined(t, browser, relay.port, "offline", "bob");
  await presence(alice, "bob", "joined");
  // Chromium's offline mode leaves open sockets alone: what they carry is swallowed on the way.
  await bob.context().setOffline(true);
  relay.freeze();
  await say(alice, "you cannot hear me");
  await say(bob, "nor you me");
  await draw(alice, [
    [0.2, 0.2],
    [0.4, 0.7],
  ]);
  await line(alice, "you cannot hear me").waitFor();
  // No close, no error: only silence says that the line is dead.
  await status(bob, "reconnecting");
  assert.deepEqual(await lines(bob), []);
  relay.thaw();
  await bob.context().setOffline(false);
  for (const page of [alice, bob]) {
    await line(page, "nor you me").waitFor();
    await line(page, "you cannot hear me").waitFor();
    await strokes(page, 1);
    assert.deepEqual(await lines(page), ["you cannot hear me", "nor you me"]);
    await isTrue(page);
  }
});

test("r5 a server killed with -9 and started again on the same data: every line, stroke and move is there once", async (t) => {
  const first = await serverFor(t),
    { port, data } = first;
  const alice = await joined(t, browser, port, "killed", "alice"),
    bob = await joined(t, browser, port, "killed", "bob");
  await alice.locator("#sit").click();
  await alice.locator("#turn", { hasText: "Waiting" }).waitFor();
  await bob.locator("#sit").click();
  await alice.locator("#turn", { hasText: "Your turn." }).waitFor();
  await alice.locator('#cells [data-cell="4"]').click();
  await bob.locator('#cells [data-cell="4"][data-mark=X]').waitFor();
  await draw(alice, [
    [0.2, 0.2],
    [0.4, 0.7],
  ]);
  await say(alice, "seen by both");
  await line(bob, "seen by both").waitFor();
  // In flight when it dies: whether it was stored nobody knows, and it must be there once.
  for (let n = 1; n <= 5; n += 1) await say(bob, `around the end ${n}`);
  await first.kill();
  for (const page of [alice, bob]) await status(page, "reconnecting");
  await say(alice, "written while it was dead");
  await draw(bob, [
    [0.6, 0.2],
    [0.8, 0.7],
  ]);
  await serverFor(t, { port, DATA_DIR: data });
  for (const page of [alice, bob]) {
    await status(page, "online");
    await line(page, "written while it was dead").waitFor();
    await line(page, "around the end 5").waitFor();
    await strokes(page, 2);
  }
  const of = await lines(alice);
  assert.deepEqual(await lines(bob), of);
  assert.deepEqual([...of].sort(), [
    "around the end 1",
    "around the end 2",
    "around the end 3",
    "around the end 4",
    "around the end 5",
    "seen by both",
    "written while it was dead",
  ]);
  assert.deepEqual(
    of.filter((text) => text.startsWith("around")),
    [1, 2, 3, 4, 5].map((n) => `around the end ${n}`),
  );
  await bob.locator("#turn", { hasText: "Your turn." }).waitFor();
  await bob.locator('#cells [data-cell="0"]').click();
  await alice.locator('#cells [data-cell="0"][data-mark=O]').waitFor();
  for (const page of [alice, bob]) {
    await settled(page);
    await isTrue(page);
    assert.equal(await fact(page, "resumed"), "1×");
  }
});

test("d4 a deploy: the page is told that the server restarts, and comes back to the next one with nothing lost", async (t) => {
  const first = await startServer(),
    alice = await joined(t, browser, first.port, "deploy", "alice");
  await say(alice, "before the deploy");
  await line(alice, "before the deploy").waitFor();
  // Each reason the person is given, in order: the next attempt, which fails, brings another one.
  await alice.evaluate(() => {
    const status = document.querySelector("#status");
    window.whys = [];
    new MutationObserver(() => window.whys.push(status.dataset.why)).observe(status, { attributeFilter: ["data-why"] });
  });
  assert.equal(await first.stop(), 0);
  await status(alice, "reconnecting");
  const whys = await alice.evaluate(() => window.whys);
  assert.ok(
    whys.some((why) => /restarting.*\((1012|draining)\)/.test(why)),
    `the server's own reason is among ${JSON.stringify(whys)}`,
  );
  await say(alice, "during the deploy");
  await serverFor(t, { port: first.port, DATA_DIR: first.data });
  await status(alice, "online");
  await line(alice, "during the deploy").waitFor();
  assert.deepEqual(await lines(alice), ["before the deploy", "during the deploy"]);
  await isTrue(alice);
});

test("r3 a room that began anew is said to have, and goes on", async (t) => {
  const first = await startServer({ DURABILITY: "memory" }),
    alice = await joined(t, browser, first.port, "anew", "alice");
  await draw(alice, [
    [0.2, 0.2],
    [0.4, 0.7],
  ]);
  await strokes(alice, 1);
  await first.kill();
  await status(alice, "reconnecting");
  await serverFor(t, { port: first.port, DURABILITY: "memory" });
  await alice.locator("#log .resume.reset", { hasText: "began anew" }).waitFor();
  await strokes(alice, 0);
  await say(alice, "a new beginning");
  await line(alice, "a new beginning").waitFor();
});
