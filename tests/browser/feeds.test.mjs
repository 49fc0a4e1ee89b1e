//! Owns the tests of the dashboard's tables of hubs and proxies, against a server that only it sees (operator.mjs).
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; operator.test.mjs has a hub of the real server.

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

async function dashboard(t, feeds, options = {}) {
  const page = await open(t, browser, `http://127.0.0.1:${server.port}/dashboard`, {
    ...options,
    before: (page) => fakeOperator(page, { rooms: manyRooms(3), feeds }),
  });
  await until("figures", async () => (await page.locator('dd[data-column="in"]').textContent()) !== "–");
  return page;
}
const row = (page, list, name) => page.locator(`#${list}-table tbody tr[data-name="${name}"]`);
const cells = async (page, list, name) =>
  (await row(page, list, name).locator("th, td").allTextContents()).map((text) => text.trim());

test("hubs and proxies: a row each, in words and human units, rates from totals", async (t) => {
  const page = await dashboard(t, manyFeeds);
  assert.deepEqual(await page.locator("#hubs-table thead th").allTextContents(), [
    "Hub",
    "Provider",
    "State",
    "Clients",
    "Topics",
    "Upstream",
    "Attempts",
    "Last message",
    "Messages/s",
    "Gaps",
  ]);
  assert.deepEqual(await cells(page, "hubs", "options"), [
    "options",
    "massive-options",
    "live",
    "9,640",
    "311",
    "1",
    "0",
    "now",
    "18.4 k",
    "1",
  ]);
  assert.deepEqual(await cells(page, "hubs", "futures"), [
    "futures",
    "kraken",
    "down",
    "37",
    "12",
    "0",
    "6",
    "5 min ago",
    "0",
    "3",
  ]);
  assert.deepEqual(await cells(page, "hubs", "lobby"), [
    "lobby",
    "bus",
    "live",
    "1,800",
    "25",
    "0",
    "0",
    "2 s ago",
    "0.2",
    "0",
  ]);
  assert.deepEqual(await cells(page, "hubs", "indices"), [
    "indices",
    "massive-indices",
    "off",
    "0",
    "0",
    "0",
    "0",
    "–",
    "0",
    "0",
  ]);
  assert.deepEqual(await page.locator("#hubs-table tbody [data-column=state]").allTextContents(), [
    "stale",
    "connecting",
    "down",
    "off",
    "live",
    "live",
    "idle",
  ]);
  assert.equal(await page.locator("#hubs-count").textContent(), "1 down, 1 stale, 1 connecting, 2 live, 1 idle, 1 off");
  assert.deepEqual(await page.locator("#proxies-table thead th").allTextContents(), [
    "Proxy",
    "State",
    "Sessions",
    "So far",
    "In per second",
    "Out per second",
    "Over budget",
  ]);
  assert.deepEqual(await cells(page, "proxies", "openai"), ["openai", "on", "14", "2,310", "672 kB", "1.3 MB", "12"]);
  assert.deepEqual(await cells(page, "proxies", "transcriber"), ["transcriber", "off", "0", "0", "0 B", "0 B", "0"]);
});

test("whoever sees no colours, or nothing at all, has a mark per state, captions, and heads by row and column", async (t) => {
  const page = await dashboard(t, manyFeeds);
  const marks = new Map(
    await page
      .locator(".flows tbody tr")
      .evaluateAll((rows) => rows.map((row) => [row.dataset.state, row.querySelector(".mark path").getAttribute("d")])),
  );
  assert.equal(marks.size, 7);
  // `live` of a hub and `on` of a proxy are one thing.
  assert.equal(new Set(marks.values()).size, 6);
  for (const [list, caption] of [
    ["hubs", /^Hubs/],
    ["proxies", /^Proxies/],
  ]) {
    const table = page.locator(`#${list}-table`);
    assert.match(await table.locator("caption").textContent(), caption);
    assert.equal(await table.locator("th:not([scope])").count(), 0);
    assert.equal(await table.locator("tbody th[scope=row]").count(), await table.locator("tbody tr").count());
  }
  await page.getByRole("row", { name: /^options massive-options live 9,640/ }).waitFor();
});

test("no lists, as from an older server, or empty ones: no section at all, and everything else as ever", async (t) => {
  for (const feeds of [undefined, () => ({ hubs: [], proxies: [] })]) {
    const page = await dashboard(t, feeds);
    await page.locator("#rooms-count", { hasText: "3 open" }).waitFor();
    assert.ok(await page.locator("#hubs").isHidden());
    assert.ok(await page.locator("#proxies").isHidden());
    assert.equal(await page.locator("#hubs-table tbody tr").count(), 0);
  }
});

test("a hub that goes down while clients wait is called out, in its row and above; when it is back the alarm is over", async (t) => {
  let state = "live";
  const feeds = (second) => {
    const lists = manyFeeds(second),
      others = lists.hubs.filter(({ hub }) => hub === "lobby" || hub === "stocks");
    return {
      hubs: [...others, { ...lists.hubs.find(({ hub }) => hub === "options"), state, reconnect_attempts: second }],
    };
  };
  const page = await dashboard(t, feeds),
    alarm = page.locator("#hubs-alarm");
  await row(page, "hubs", "options").waitFor();
  assert.ok(await alarm.isHidden());
  assert.ok(await page.locator("#proxies").isHidden());
  state = "down";
  await page.locator('[data-name="options"][data-state="down"][data-needy="true"]').waitFor();
  assert.equal(await alarm.textContent(), "Down while clients wait: options.");
  assert.equal(
    await page.getByRole("alert").filter({ visible: true }).textContent(),
    "Down while clients wait: options.",
  );
  // An alert is read out at each change: neither what counts up each second nor another attempt may touch it.
  await page.exposeFunction("tryAgain", () => {
    state = "connecting";
  });
  const touched = await page.evaluate(async () => {
    const seen = [],
      observer = new MutationObserver((records) => seen.push(...records));
    observer.observe(document.getElementById("hubs-alarm"), { childList: true, characterData: true, subtree: true });
    const cell = (column) => document.querySelector(`[data-name="options"] [data-column=${column}]`).textContent,
      before = cell("attempts");
    await globalThis.tryAgain();
    while (cell("attempts") === before || cell("state") !== "connecting")
      await new Promise((done) => setTimeout(done, 50));
    return seen.length;
  });
  assert.equal(touched, 0);
  assert.equal(await page.locator('[data-name="lobby"]').getAttribute("data-needy"), "false");
  state = "live";
  await page.locator('[data-name="options"][data-state="live"][data-needy="false"]').waitFor();
  assert.ok(await alarm.isHidden());
});

test("rows come and go with the server's list, in its order; the others stay the elements they were", async (t) => {
  let names = ["options", "crypto"];
  const page = await dashboard(t, (second) => ({
    hubs: names.map((name) => manyFeeds(second).hubs.find(({ hub }) => hub === name)),
  }));
  const shown = () => page.locator("#hubs-table tbody th").allTextContents();
  assert.deepEqual(await shown(), ["options", "crypto"]);
  const kept = await row(page, "hubs", "options").elementHandle();
  names = ["lobby", "options"];
  await row(page, "hubs", "lobby").waitFor();
  assert.deepEqual(await shown(), ["lobby", "options"]);
  assert.ok(
    await kept.evaluate((node) => node.isConnected && node.querySelector("[data-column=state]").textContent === "live"),
  );
  names = [];
  await page.locator("#hubs").waitFor({ state: "hidden" });
});

for (const [width, colorScheme] of [
  [320, "light"],
  [390, "dark"],
  [900, "light"],
  [1000, "dark"],
]) {
  test(`at ${width} pixels, ${colorScheme}, every value can be seen, and nothing scrolls sideways`, async (t) => {
    const long = {
      proxy: "p".repeat(64),
      hub: "h".repeat(64),
      provider: "a-provider-with-a-long-name",
      enabled: true,
      state: "connecting",
      clients: 9999,
      topics: 9999,
      upstream_connections: 1,
      reconnect_attempts: 9999,
      last_message_age_ms: 3.5e6,
    };
    const feeds = (second) => {
      const { hubs, proxies } = manyFeeds(second),
        bytes = second * 999e9;
      return {
        hubs: [...hubs, { ...long, messages: second * 9999, gaps: 9999 }],
        proxies: [
          ...proxies,
          { ...long, sessions: 9999, sessions_total: 9999, bytes_in: bytes, bytes_out: bytes, budget_closes: 9999 },
        ],
      };
    };
    const page = await dashboard(t, feeds, {
      ...(width < 600 ? PHONE : {}),
      viewport: { width, height: 780 },
      colorScheme,
    });
    // Of what is off a phone shows no zeros.
    const outside = await page
      .locator(".flows tbody tr:not([data-state=off]) > *, .flows tbody tr > :not(.number)")
      .evaluateAll((nodes) =>
        nodes
          .filter((node) => {
            const { left, right, width, height } = node.getBoundingClientRect();
            return (
              left < 0 || right > innerWidth || width === 0 || height === 0 || node.scrollWidth > node.clientWidth + 1
            );
          })
          .map(({ textContent }) => textContent),
      );
    assert.deepEqual(outside, []);
    // A state that lies over a name, a value over its neighbour.
    const heaped = await page.locator(".flows tbody tr").evaluateAll((rows) =>
      rows.flatMap((row) => {
        const boxes = [...row.children].map((cell) => ({
          text: cell.textContent,
          ...cell.getBoundingClientRect().toJSON(),
        }));
        return boxes.flatMap((a, at) =>
          boxes
            .slice(at + 1)
            .filter((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
            .map((b) => `${a.text} over ${b.text}`),
        );
      }),
    );
    assert.deepEqual(heaped, []);
    for (const [list, heads] of [
      ["hubs", 10],
      ["proxies", 7],
    ]) {
      const table = page.getByRole("table", { name: list });
      assert.equal(await table.getByRole("columnheader").count(), heads, "a block is still a table's row");
      assert.equal(await table.getByRole("rowheader").count(), await table.locator("tbody tr").count());
    }
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
    assert.deepEqual(await findings(page), []);
    await picture(page.locator("#hubs"), `dashboard-feeds-${width}-${colorScheme}`);
  });
}
