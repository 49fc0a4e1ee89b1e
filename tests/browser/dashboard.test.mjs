//! Owns the tests of the dashboard against a server that only it sees (operator.mjs): 10,000 rooms, figures, keys, pictures.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; operator.test.mjs has those against the real server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fakeOperator, manyFeeds, manyRooms } from "./operator.mjs";
import { findings, open, PHONE, picture, startBrowser, startServer, until } from "./support.mjs";

let server, browser, stop;
before(async () => {
  server = await startServer();
  ({ browser, stop } = await startBrowser());
});
after(async () => {
  await stop?.();
  await server?.stop();
});

async function dashboard(t, fake = {}, options = {}) {
  let operator;
  const page = await open(t, browser, `http://127.0.0.1:${server.port}/dashboard`, {
    ...options,
    before: async (page) => {
      operator = await fakeOperator(page, fake);
    },
  });
  return { page, operator };
}
const rows = (page) => page.locator(".body .tr");
const first = async (page, count = 1) => {
  const found = await rows(page).evaluateAll((nodes) =>
    nodes
      .map((node) => [Number(node.dataset.at), node.dataset.key])
      .sort(([a], [b]) => a - b)
      .map(([, key]) => key),
  );
  return found.slice(0, count);
};

test("without a token it asks for one, a wrong one is refused in words, the right one is kept in the tab and can be forgotten", async (t) => {
  const { page } = await dashboard(t, { secret: "open sesame", rooms: manyRooms(3) });
  await page.locator("#knock").waitFor();
  assert.ok(await page.locator("#inside").isHidden());
  await page.locator("#token").fill("open barley");
  await page.locator("#token").press("Enter");
  await page.locator("#knock-why", { hasText: "did not accept the token" }).waitFor();
  await page.locator("#token").fill("open sesame");
  await page.locator("#token").press("Enter");
  await page.locator("#rooms-count", { hasText: "3 open" }).waitFor();
  await page.reload();
  await page.locator("#rooms-count", { hasText: "3 open" }).waitFor();
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await page.locator("#forget").click();
  await page.locator("#knock").waitFor();
  assert.deepEqual(await page.evaluate(() => Object.values({ ...sessionStorage })), []);
});

test("figures: what only grows becomes rates, buckets become percentiles", async (t) => {
  const { page } = await dashboard(t);
  const value = async (column) => (await page.locator(`dd[data-column="${column}"]`).textContent()).trim();
  await until("figures", async () => (await value("in")) !== "–");
  assert.match(await value("connections"), /^2\d\.\d k$/);
  assert.match(await value("in"), /^([4-6],\d{3})$/);
  assert.match(await value("p50"), /^\d{3} µs$/);
  assert.match(await value("p99"), /^\d\.\d ms$/);
  assert.match(await value("cpu"), /^\d\d %$/);
  assert.equal(await page.locator("#charts canvas").count(), 6);
  assert.deepEqual(await page.locator("#refusals .name").allTextContents(), [
    "connection limit",
    "auth failed",
    "rate limit",
    "invalid origin",
    "auth timeout",
  ]);
  await page.locator("#disconnects li[data-name=outbox_full]").waitFor();
});

test("10,000 rooms: few rows exist, the last is one key away, sorting and filtering take less than a blink", async (t) => {
  const { page } = await dashboard(t);
  await page.locator("#rooms-count", { hasText: "10,000 open" }).waitFor();
  assert.equal(await page.locator(".table").getAttribute("aria-rowcount"), "10001");
  assert.ok((await rows(page).count()) < 40);
  await rows(page).first().click();
  await page.locator("#room-shut").click();
  await page.keyboard.press("End");
  await page.locator('.body .tr[aria-rowindex="10001"]:focus').waitFor();
  await page.keyboard.press("Home");
  await page.locator('.body .tr[aria-rowindex="2"]:focus').waitFor();
  await page.locator("[data-column=seq] button").click();
  const expected = manyRooms(10_000)
    .sort((a, b) => b.seq - a.seq)
    .map(({ game }) => game);
  assert.deepEqual(await first(page, 5), expected.slice(0, 5));
  assert.equal(await page.locator(".head [data-column=seq]").getAttribute("aria-sort"), "descending");
  await page.locator("[data-column=seq] button").click();
  assert.deepEqual(await first(page, 1), [expected.at(-1)]);
  await page.locator("#rooms-filter").fill("0777");
  await page.locator("#rooms-count", { hasText: /^\d+ of 10,000$/ }).waitFor();
  assert.ok((await first(page, 40)).every((game) => game.includes("0777")));
  await page.locator("#rooms-filter").fill("no such room");
  await page.locator("#grid .none", { hasText: "No room fits" }).waitFor();
  await page.locator("#rooms-filter").fill("");
  // Work per scrolled frame, against that of a list of some hundred rooms: whatever the machine is like, it is as slow there.
  const frame = () =>
    page.evaluate(async () => {
      const body = document.querySelector(".body"),
        times = [];
      for (let at = 0; at < 60; at += 1) {
        body.scrollTop = (at * 5000) % body.scrollHeight;
        await new Promise((done) => requestAnimationFrame(done));
        const began = performance.now();
        body.dispatchEvent(new Event("scroll"));
        await new Promise((done) => requestAnimationFrame(done));
        void body.offsetHeight;
        times.push(performance.now() - began);
      }
      return times.sort((a, b) => a - b)[30];
    });
  const ofAll = await frame();
  await page.locator("#rooms-filter").fill("77");
  await page.locator("#rooms-count", { hasText: /^\d{3} of 10,000$/ }).waitFor();
  const ofFew = await frame();
  assert.ok(ofAll < 3 * ofFew, `a frame of scrolling takes ${ofAll} ms, and ${ofFew} ms where the list is short`);
});

test("a room opens: players with queue and latency, state as a tree, the log; actions ask first and reach the server once", async (t) => {
  const { page, operator } = await dashboard(t, { rooms: manyRooms(20) });
  await rows(page).first().waitFor();
  const [game] = await first(page);
  await rows(page).first().click();
  const finch = page.locator('#players tr[data-player="finch"]');
  await finch.waitFor();
  assert.deepEqual((await finch.locator("th, td").allTextContents()).slice(0, 5), [
    "finch",
    "here",
    "31, 20.5 kB",
    "148 ms",
    "17",
  ]);
  await page.locator("#state summary", { hasText: "marks" }).click();
  await page.locator("#state .leaf", { hasText: '"otter"' }).waitFor();
  await page.locator("#state summary", { hasText: "long" }).click();
  await page.locator("#state button", { hasText: "150 more" }).click();
  await page.locator("#state .leaf", { hasText: "199: 199" }).waitFor();
  await page.locator("[aria-label='Kick finch']").click();
  await page.locator("#confirm[open]").waitFor();
  await page.keyboard.press("Escape");
  assert.deepEqual(operator.calls, []);
  await page.locator("[aria-label='Kick finch']").click();
  await page.locator("#confirm-yes").click();
  await until("the kick", () => operator.calls.length === 1);
  await page.locator("[aria-label='Kick finch']").click();
  assert.equal(
    await page.locator("#confirm-choice").inputValue(),
    "0",
    "a choice of the last time is none of this one",
  );
  await page.locator("#confirm-choice").selectOption({ label: "in an hour" });
  await page.locator("#confirm-yes").click();
  await until("the ban", () => operator.calls.length === 2);
  await page.locator("#speak-data").fill('{"news":1}');
  await page.locator("#speak button").click();
  await page.locator("#confirm-text", { hasText: '{"news":1}' }).waitFor();
  assert.ok(await page.locator("#confirm-how").isHidden());
  await page.locator("#confirm-yes").click();
  await page.locator("#speak-said", { hasText: "It is event" }).waitFor();
  await page.locator("#speak-kind").selectOption("patch");
  await page.locator("#speak-data").fill("no object");
  await page.locator("#speak button").click();
  await page.locator("#speak-said", { hasText: "A patch is a JSON object." }).waitFor();
  await page.locator("#room-end").click();
  await page.locator("#confirm-yes").click();
  await page.locator("#room").waitFor({ state: "hidden" });
  await until("it is gone from the list", async () => !(await first(page, 40)).includes(game));
  assert.deepEqual(
    operator.calls.map(({ method, path, body }) => ({ method, path, body })),
    [
      { method: "POST", path: [game, "kick"], body: { player: "finch" } },
      { method: "POST", path: [game, "kick"], body: { player: "finch", ban_s: 3600 } },
      { method: "POST", path: [game, "events"], body: { data: { news: 1 } } },
      { method: "DELETE", path: [game], body: null },
    ],
  );
  assert.ok(operator.calls[2].key, "a send carries an Idempotency-Key");
});

test("the security log: newest first, filtered by event, level and text; paused it stands still", async (t) => {
  const { page, operator } = await dashboard(t, { rooms: manyRooms(3) });
  await page.locator("#security-count", { hasText: "200 of 200 lines" }).waitFor();
  const push = (player, event = "WS_CONNECTION_CLOSED", level = "info") =>
    operator.push("security", {
      lines: [{ time: Date.now(), level, event, game: "g", player, address: "198.51.100.7" }],
    });
  push("newcomer");
  await page.locator("#lines .entry").first().filter({ hasText: "newcomer in g" }).waitFor();
  await page.locator("#log-text").fill("198.51.100.7");
  await page.locator("#security-count", { hasText: "1 of 201 lines" }).waitFor();
  await page.locator("#log-text").fill("");
  await page.locator("#log-level").selectOption("warn");
  await until("warnings alone", async () => (await page.locator("#lines .entry:not([data-level=warn])").count()) === 0);
  await page.locator("#log-level").selectOption("");
  await page.locator("#log-event").selectOption("WS_CONNECTION_BLOCKED_RATE_LIMIT");
  await until(
    "that event alone",
    async () =>
      (await page.locator('#lines .entry:not([data-event="WS_CONNECTION_BLOCKED_RATE_LIMIT"])').count()) === 0,
  );
  await page.locator("#log-event").selectOption("");
  await page.locator("#log-pause").click();
  push("unseen");
  push("unseen", "WS_SOMETHING_NEW");
  await page.locator('#log-event option[value="WS_SOMETHING_NEW"]').waitFor({ state: "attached" });
  assert.equal(await page.locator("#lines", { hasText: "unseen" }).count(), 0);
  await page.locator("#log-pause").click();
  await page.locator("#lines", { hasText: "unseen" }).waitFor();
});

test("with the keyboard alone one filters, walks the rooms, opens one and gets back to it", async (t) => {
  const { page } = await dashboard(t, { rooms: manyRooms(50) });
  await rows(page).first().waitFor();
  await page.locator("#rooms-filter").focus();
  for (
    let presses = 0;
    presses < 12 && !(await page.evaluate(() => document.activeElement.matches(".body .tr")));
    presses += 1
  )
    await page.keyboard.press("Tab");
  for (let n = 0; n < 3; n += 1) await page.keyboard.press("ArrowDown");
  const key = await page.evaluate(() => document.activeElement.dataset.key);
  assert.deepEqual([key], (await first(page, 4)).slice(3));
  await page.keyboard.press("Enter");
  await page.locator("#room[open]").waitFor();
  assert.equal(await page.locator("#room-name").textContent(), key);
  await page.keyboard.press("Escape");
  await page.locator("#room").waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement.dataset.key), key);
});

for (const [name, options] of [
  ["desktop-light", { viewport: { width: 1280, height: 900 } }],
  ["desktop-dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }],
  ["phone-light", PHONE],
  ["phone-dark", { ...PHONE, colorScheme: "dark" }],
]) {
  test(`the dashboard on ${name}: axe finds nothing serious, nothing scrolls sideways`, async (t) => {
    const { page } = await dashboard(t, { feeds: manyFeeds }, options);
    await page.locator("#rooms-count", { hasText: "10,000 open" }).waitFor();
    await page.locator("#hubs-table tbody tr").nth(6).waitFor();
    await page.locator("#security-count", { hasText: "200" }).waitFor();
    await until("figures", async () => (await page.locator('dd[data-column="p99"]').textContent()) !== "–");
    assert.deepEqual(await findings(page), []);
    const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(width <= 0, `scrolls sideways by ${width}`);
    await picture(page, `dashboard-${name}`, { fullPage: true });
    await rows(page).nth(2).click();
    await page.locator("#players tr[data-player]").first().waitFor();
    await page.locator("#events .entry").first().waitFor();
    assert.deepEqual(await findings(page), []);
    await picture(page, `dashboard-room-${name}`);
  });
}
