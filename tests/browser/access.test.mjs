//! Owns the tests of the demo's reach: keys alone, what axe finds, phone and desktop, light and dark; it leaves the pictures.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; pictures go to target/screenshots.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { draw, fact, joined, line, online, presence, say, status, strokes } from "./room.mjs";
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
const address = (path) => `http://127.0.0.1:${server.port}${path}`;

/** Presses Tab until this has the focus, and sees that the focus can be seen. */
async function tabTo(page, selector, key = "Tab") {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press(key);
    const found = await page.evaluate((wanted) => {
      const { activeElement: active } = document,
        painted = active.matches("input[type=radio]") ? active.nextElementSibling : active;
      return active.matches(wanted) && { outline: getComputedStyle(painted).outlineStyle };
    }, selector);
    if (!found) continue;
    assert.notEqual(found.outline, "none", `the focus on ${selector} cannot be seen`);
    return;
  }
  assert.fail(`Tab does not reach ${selector}`);
}

test("with the keyboard alone one enters, chats, draws, plays, cuts the line and leaves", async (t) => {
  const bob = await joined(t, browser, server.port, "keys", "bob");
  const page = await open(t, browser, address("/?room=keys"));
  await tabTo(page, "#name");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("alice");
  await page.keyboard.press("Enter");
  await online(page);
  await tabTo(page, "#text", "Shift+Tab");
  await page.keyboard.type("no mouse");
  await page.keyboard.press("Enter");
  await line(bob, "no mouse").waitFor();
  await tabTo(page, "#pens input", "Shift+Tab");
  await page.keyboard.press("ArrowRight");
  await tabTo(page, "#live");
  await page.keyboard.press("Space");
  for (const key of ["ArrowRight", "Shift+ArrowDown", "ArrowLeft"]) await page.keyboard.press(key);
  await page.keyboard.press("Space");
  await strokes(bob, 1);
  assert.equal(await page.locator("#board-said").textContent(), "Pen lifted.");
  await tabTo(page, "#sit");
  await page.keyboard.press("Enter");
  await page.locator("#turn", { hasText: "Waiting" }).waitFor();
  await bob.locator("#sit").click();
  await page.locator("#turn", { hasText: "Your turn." }).waitFor();
  await tabTo(page, "#cells button", "Shift+Tab");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await bob.locator("#cells [data-mark=X]").waitFor();
  await tabTo(page, "#cut");
  await page.keyboard.press("Enter");
  await status(page, "cut");
  await page.locator("#log .resume.continuous").waitFor();
  await tabTo(page, "#leave");
  await page.keyboard.press("Enter");
  await page.locator("#door").waitFor();
  await bob.locator("#log .note", { hasText: "alice left" }).waitFor();
});

test("the first Tab offers to skip to the content", async (t) => {
  const page = await open(t, browser, address("/"));
  await page.locator("#door").waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
});

/** A room in which something has happened. */
async function lively(t, room) {
  const alice = await joined(t, browser, server.port, room, "otter"),
    bob = await joined(t, browser, server.port, room, "finch");
  await bob.locator("#pens input[value='2']").check({ force: true });
  await draw(alice, [
    [0.07, 0.62],
    [0.18, 0.3],
    [0.29, 0.55],
    [0.4, 0.2],
    [0.52, 0.5],
    [0.62, 0.34],
  ]);
  await draw(bob, [
    [0.55, 0.86],
    [0.55, 0.6],
    [0.7, 0.42],
    [0.85, 0.6],
    [0.85, 0.86],
    [0.52, 0.86],
  ]);
  await draw(bob, [
    [0.66, 0.86],
    [0.66, 0.7],
    [0.7, 0.66],
    [0.74, 0.7],
    [0.74, 0.86],
  ]);
  await strokes(alice, 3);
  for (const [page, text] of [
    [alice, "is that our inn?"],
    [bob, "it is. I draw, you cut my line"],
    [alice, "you will not even notice"],
    [bob, "X or O?"],
  ]) {
    await say(page, text);
    await line(alice, text).waitFor();
  }
  await alice.locator("#sit").click();
  await alice.locator("#turn", { hasText: "Waiting" }).waitFor();
  await bob.locator("#sit").click();
  for (const [page, n] of [
    [alice, 4],
    [bob, 0],
    [alice, 2],
  ]) {
    await page.locator("#turn", { hasText: "Your turn." }).waitFor();
    await page.locator(`#cells [data-cell="${n}"]`).click();
  }
  await bob.locator("#live").hover({ position: { x: 480, y: 150 } });
  return { alice, bob };
}

for (const [name, options] of [
  ["desktop-light", {}],
  ["desktop-dark", { colorScheme: "dark" }],
  ["phone-light", PHONE],
  ["phone-dark", { ...PHONE, colorScheme: "dark" }],
]) {
  test(`the demo on ${name}: axe finds nothing serious, nothing scrolls sideways`, async (t) => {
    const { alice, bob } = await lively(t, `tavern-${name}`);
    const check = async (page, what) => {
      // Before axe: it keeps the page busy, and the picture would show a latency of the page's making.
      await picture(page, `demo-${what}-${name}`);
      assert.deepEqual(await findings(page), [], what);
      const [width, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(width <= room, `${what} scrolls sideways: ${width}`);
    };
    const door = await open(t, browser, address("/"), options);
    await door.locator("#door").waitFor();
    await check(door, "door");
    const heron = await joined(t, browser, server.port, `tavern-${name}`, "heron", options);
    await heron.locator("#turn", { hasText: "finch" }).waitFor();
    await say(bob, "welcome, heron");
    await line(heron, "welcome, heron").waitFor();
    await bob.locator("#live").hover({ position: { x: 520, y: 170 } });
    await heron.locator('.cursor[data-player="finch"] span').waitFor();
    await until("the latency is known", async () => (await fact(heron, "latency")).endsWith("ms"));
    await check(heron, "room");
    await heron.locator("#cut").click();
    await status(heron, "cut");
    await say(heron, "can you hear me?");
    await check(heron, "cut");
    await presence(alice, "heron", "away");
  });
}

test("two players side by side, for the picture", async (t) => {
  const { alice } = await lively(t, "side-by-side");
  await alice.setViewportSize({ width: 1440, height: 900 });
  await alice.locator("#second").click();
  await alice.frameLocator("#beside iframe").locator("#status[data-status=online]").waitFor();
  await alice.frameLocator("#beside iframe").locator('#sheet[data-strokes="3"]').waitFor();
  assert.deepEqual(await findings(alice), []);
  await picture(alice, "demo-side-by-side");
});
