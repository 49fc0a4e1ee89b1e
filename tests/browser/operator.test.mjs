//! Owns the tests of the dashboard against the real server: its hub, its API, its rooms, and what players see of an operator.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; settings are in support.mjs.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { draw, joined, line, presence, say, strokes } from "./room.mjs";
import { directory, findings, jwt, open, picture, serverFor, startBrowser, startRelay, until } from "./support.mjs";

const SECRET = "a secret of at least thirty-two bytes",
  OPERATOR = "an operator's secret of thirty-two bytes";
const soon = () => Math.floor(Date.now() / 1000) + 3600;

let browser, stop;
before(async () => {
  ({ browser, stop } = await startBrowser());
});
after(() => stop?.());

/** As the terminal shows it: the server's key is in the fragment, if it has one. */
const dashboard = (t, { port, key }, options = { viewport: { width: 1280, height: 900 } }) =>
  open(t, browser, `http://127.0.0.1:${port}/dashboard${key ? `#key=${key}` : ""}`, options);
const row = (page, game) => page.locator(`.body .tr[data-key="${game}"]`);
const figure = async (page, column) => (await page.locator(`dd[data-column="${column}"]`).textContent()).trim();

test("a10a the link with the key opens the dashboard; the key leaves the address, stays in this tab, and another tab is asked for it", async (t) => {
  const server = await serverFor(t),
    page = await dashboard(t, server);
  assert.match(server.key, /^[0-9a-f]{64}$/);
  await until("figures", async () => (await figure(page, "connections")) === "1");
  assert.equal(page.url(), `http://127.0.0.1:${server.port}/dashboard`);
  assert.deepEqual(await page.evaluate(() => [history.length, Object.values(sessionStorage), localStorage.length]), [
    2,
    [server.key],
    0,
  ]);
  await page.reload();
  await until("figures again", async () => (await figure(page, "connections")) === "1");
  const stranger = await dashboard(t, { port: server.port });
  await stranger.locator("#knock").waitFor();
  assert.equal(await stranger.locator("#knock-why").textContent(), "");
  // A link that is followed in a tab of this page loads nothing anew.
  await stranger.evaluate(() => {
    location.hash = "#key=wrong";
  });
  await stranger.locator("#knock-why", { hasText: "did not accept the token" }).waitFor();
  await stranger.evaluate((key) => {
    location.hash = `#key=${key}`;
  }, server.key);
  await until("figures there, too", async () => (await figure(stranger, "connections")) === "2");
  assert.ok(!stranger.url().includes("key"));
});

test("in development mode the dashboard shows who is connected, what they do, and who left", async (t) => {
  const server = await serverFor(t),
    { port } = server,
    relay = await startRelay(t, port);
  const alice = await joined(t, browser, port, "seen", "alice"),
    bob = await joined(t, browser, relay.port, "seen", "bob");
  const page = await dashboard(t, server);
  // Two players, and the dashboard itself.
  await until("three connections", async () => (await figure(page, "connections")) === "3");
  await until("rates", async () => (await figure(page, "in")) !== "–");
  await row(page, "demo-table-seen").click();
  await page.locator('#players tr[data-player="alice"]').waitFor();
  await draw(alice, [
    [0.2, 0.2],
    [0.4, 0.7],
  ]);
  await say(alice, "is anybody watching?");
  await page.locator("#events .what", { hasText: "is anybody watching?" }).first().waitFor();
  await page.locator("#state summary", { hasText: "strokes" }).waitFor();
  // He is away until the end.
  relay.shut();
  await bob.locator("#cut").click();
  await page.locator('#players tr[data-player="bob"] [data-status=away]').waitFor();
  assert.deepEqual(await findings(page), []);
  await picture(page, "dashboard-real-room");
  await page.keyboard.press("Escape");
  await page.locator("#log-text").fill("bob");
  await page
    .locator('#lines .entry[data-event="WS_CONNECTION_ESTABLISHED"]', { hasText: "bob in demo-table-seen" })
    .waitFor();
  await page.locator("#disconnects li[data-name]").first().waitFor();
  await picture(page, "dashboard-real", { fullPage: true });
});

test("an operator sends as @server, changes the state, kicks, and closes the room; the players are told", async (t) => {
  const server = await serverFor(t),
    { port } = server,
    alice = await joined(t, browser, port, "ruled", "alice"),
    bob = await joined(t, browser, port, "ruled", "bob");
  await draw(alice, [
    [0.2, 0.2],
    [0.4, 0.7],
  ]);
  await strokes(bob, 1);
  const page = await dashboard(t, server);
  const act = async (button) => {
    await button.click();
    await page.locator("#confirm-yes").click();
  };
  await row(page, "demo-table-ruled").click();
  await page.locator("#speak-data").fill('{"chat":"last orders"}');
  await act(page.locator("#speak button"));
  await page.locator("#speak-said", { hasText: "It is event" }).waitFor();
  for (const each of [alice, bob]) {
    await line(each, "last orders").waitFor();
    await each.locator("#log .who", { hasText: "the house" }).waitFor();
  }
  await page.locator("#speak-kind").selectOption("patch");
  await page.locator("#speak-data").fill('{"strokes":null}');
  await act(page.locator("#speak button"));
  await strokes(bob, 0);
  await page.locator("[aria-label='Kick bob']").click();
  await page.locator("#confirm-choice").selectOption("600");
  await page.locator("#confirm-yes").click();
  await bob.locator("#refused", { hasText: /asked to leave.*4010/ }).waitFor();
  await alice.locator("#log .note", { hasText: "bob was asked to leave" }).waitFor();
  await act(page.locator("#room-end"));
  await alice.locator("#refused", { hasText: /closed.*\(4004\)/ }).waitFor();
  await until("it is gone from the list", async () => (await row(page, "demo-table-ruled").count()) === 0);
});

test("e1 with tokens required it lets in the operator's secret and an admin's token, and nobody else", async (t) => {
  const { port } = await serverFor(t, { JWT_SECRET: SECRET, HTTP_API_SECRET: OPERATOR });
  const page = await dashboard(t, { port });
  const knock = async (token) => {
    await page.locator("#token").fill(token);
    await page.locator("#token").press("Enter");
  };
  await page.locator("#knock").waitFor();
  await knock(jwt(SECRET, { sub: "alice", exp: soon() }));
  await page.locator("#knock-why", { hasText: "did not accept the token" }).waitFor();
  assert.ok(await page.locator("#inside").isHidden());
  await knock(OPERATOR);
  await page.locator("#rooms-count", { hasText: "0 open" }).waitFor();
  await until("figures", async () => (await figure(page, "connections")) !== "–");
  // The API and the feed are separate doors: a hub that let in a token the API refuses would show here.
  const alice = await joined(t, browser, port, "guarded", "alice", {
    hash: `#token=${jwt(SECRET, { sub: "alice", exp: soon() })}`,
  });
  await row(page, "demo-table-guarded").waitFor();
  await page.locator("#forget").click();
  await knock(jwt(SECRET, { sub: "ops", role: "admin", exp: soon() }));
  await row(page, "demo-table-guarded").click();
  await page.locator('#players tr[data-player="alice"]').waitFor();
  await presence(alice, "alice", "joined");
});

test("an event bus of the settings has its row: nobody there, then a subscriber, and what is published", async (t) => {
  const file = join(await directory("config"), "config.yaml");
  await writeFile(file, "hubs: { lobby: { publish: [player] } }\n");
  const page = await dashboard(t, await serverFor(t, { HUBS: "lobby=bus", CONFIG_FILE: file }));
  const lobby = page.locator('#hubs-table tr[data-name="lobby"]'),
    value = async (column) => (await lobby.locator(`[data-column=${column}]`).textContent()).trim();
  await lobby.waitFor();
  await until("a rate", async () => (await value("rate")) !== "–");
  assert.deepEqual(
    await Promise.all(["provider", "state", "clients", "topics", "upstreams", "age", "rate", "gaps"].map(value)),
    ["bus", "live", "0", "0", "0", "–", "0", "0"],
  );
  const socket = await page.evaluateHandle(
    () =>
      new Promise((done) => {
        const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws/lobby`);
        socket.onmessage = ({ data }) => {
          const { type } = JSON.parse(data);
          if (type === "welcome") socket.send(JSON.stringify({ type: "subscribe", topics: ["weather"] }));
          if (type === "subscribed") done(socket);
        };
      }),
  );
  await until("the subscriber", async () => (await value("clients")) === "1");
  const publish = () =>
    socket.evaluate((socket) =>
      socket.send(JSON.stringify({ type: "publish", topic: "weather", data: { sky: "clear" } })),
    );
  await publish();
  await until("what was published", async () => (await value("topics")) === "1" && (await value("age")) !== "–");
  await until("its rate", async () => {
    await publish();
    return Number.parseFloat(await value("rate")) > 0;
  });
  assert.equal(await page.locator("#hubs-count").textContent(), "1 live");
  assert.ok(await page.locator("#hubs-alarm").isHidden());
  assert.deepEqual(await findings(page), []);
  await picture(page, "dashboard-real-hub", { fullPage: true });
  await socket.evaluate((socket) => socket.close());
  await until("nobody there", async () => (await value("clients")) === "0");
});

test("a server that dies and comes back: the dashboard says so and goes on, rates and all", async (t) => {
  const first = await serverFor(t),
    page = await dashboard(t, first);
  await until("figures", async () => (await figure(page, "connections")) === "1");
  await first.kill();
  await page.locator("#status[data-status=reconnecting]").waitFor();
  await serverFor(t, { port: first.port, DATA_DIR: first.data });
  await page.locator("#status[data-status=online]").waitFor();
  const before = await page.locator("#about").textContent();
  await until("new figures", async () => (await page.locator("#about").textContent()) !== before);
  await until("rates of the new process", async () => (await figure(page, "in")) !== "–");
  assert.doesNotMatch(await figure(page, "in"), /-/);
});
