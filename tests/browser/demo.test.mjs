//! Owns the tests of the demo on a whole network: join, chat, draw, presence, tic-tac-toe, sharing, the second player.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; settings are in support.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  draw,
  fact,
  isTrue,
  joined,
  line,
  lines,
  online,
  painted,
  presence,
  say,
  settled,
  status,
  stranger,
  strokes,
} from "./room.mjs";
import { PHONE, open, startBrowser, startRelay, startServer, until } from "./support.mjs";

let server, browser, stop;
before(async () => {
  server = await startServer();
  ({ browser, stop } = await startBrowser());
});
after(async () => {
  await stop?.();
  await server?.stop();
});
const enter = (t, room, player, options) => joined(t, browser, server.port, room, player, options);

test("a stranger gets a name and a room, opens it with one press, and the address is the room's", async (t) => {
  const page = await open(t, browser, `http://127.0.0.1:${server.port}/`);
  assert.match(await page.locator("#name").inputValue(), /^[a-z]+-[a-z]+-\d+$/);
  const room = await page.locator("#room").inputValue();
  await page.locator("#name").fill("carol");
  await page.locator("#go").click();
  await online(page);
  assert.equal(page.url(), `http://127.0.0.1:${server.port}/?room=${room}`);
  assert.equal(await page.locator("#room-name").textContent(), room);
});

test("the link leads a second person to the same room under a name of their own", async (t) => {
  const alice = await enter(t, "shared", "alice");
  await alice.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await alice.locator("#share").click();
  await alice.locator("#share[data-done=true]").waitFor();
  const address = await alice.evaluate(() => navigator.clipboard.readText());
  assert.equal(new URL(address).search, "?room=shared");
  const guest = await open(t, browser, address);
  assert.equal(await guest.locator("#room").inputValue(), "shared");
  await guest.locator("#name").fill("bob");
  await guest.locator("#go").click();
  await online(guest);
  await presence(alice, "bob", "joined");
  await presence(guest, "alice", "joined");
});

test("two pages chat in one order, and each knows its own lines for confirmed", async (t) => {
  const alice = await enter(t, "chat", "alice"),
    bob = await enter(t, "chat", "bob");
  await say(alice, "hello bob");
  await line(bob, "hello bob").waitFor();
  await say(bob, "hello alice");
  await line(alice, "hello alice").waitFor();
  await settled(alice);
  assert.deepEqual(await lines(alice), ["hello bob", "hello alice"]);
  assert.deepEqual(await lines(bob), await lines(alice));
  assert.equal(await alice.locator("#log .pending").count(), 0);
  for (const page of [alice, bob]) await isTrue(page);
  assert.equal(await fact(alice, "sent"), "1");
  await bob.locator("#leave").click();
  await bob.locator("#door").waitFor();
  await alice.locator("#log .note", { hasText: "bob left" }).waitFor();
  assert.equal(await alice.locator("#people li").count(), 1);
});

test("hostile text and hostile strokes stay what they are: text, and nothing", async (t) => {
  const alice = await enter(t, "hostile", "alice"),
    bob = await enter(t, "hostile", "bob");
  const text = '<img src=x onerror="document.title=1"><b>bold</b>';
  await say(alice, text);
  await line(bob, text).waitFor();
  assert.equal(await bob.locator("#log img, #log b").count(), 0);
  // A client that is no page of ours writes into the same state.
  await stranger(t, browser, `http://127.0.0.1:${server.port}`, "/ws/demo-table-hostile/mallory", [
    '{"type":"patch","id":1,"patch":{"strokes":{"000000.x":{"p":["a",1]},"zzzzzz.y":{"p":[0,0,1e308,1e308]},"__proto__":3,"z":7,"q":{"c":-1,"w":"a","p":[1,2,3]}}}}',
    '{"type":"send","id":2,"data":{"chat":{"not":"text"},"i":["x"]}}',
    '{"type":"send","volatile":"hand","data":{"x":"a","s":[]}}',
  ]);
  await presence(alice, "mallory", "joined");
  await draw(alice, [
    [0.2, 0.2],
    [0.4, 0.4],
  ]);
  // Hers, and the one of mallory's that is one, somewhere far outside.
  await strokes(bob, 2);
});

test("a stroke is seen while it is drawn, and stays for whoever comes later", async (t) => {
  const alice = await enter(t, "board", "alice"),
    bob = await enter(t, "board", "bob");
  await draw(
    alice,
    [
      [0.2, 0.3],
      [0.5, 0.6],
      [0.8, 0.3],
    ],
    { lift: false },
  );
  await bob.locator('.cursor[data-player="alice"] span').waitFor();
  await until("the preview is painted", async () => (await painted(bob, "live")) > 50);
  assert.equal(await bob.locator("#sheet").getAttribute("data-strokes"), "0");
  await alice.mouse.up();
  for (const page of [alice, bob]) await strokes(page, 1);
  await until("the stroke is painted", async () => (await painted(bob, "ink")) > 50);
  await until("the preview is gone", async () => (await painted(bob, "live")) === 0);
  const carol = await enter(t, "board", "carol");
  await strokes(carol, 1);
  await until("it is painted there, too", async () => (await painted(carol, "ink")) > 50);
  await alice.locator("#undo").click();
  for (const page of [alice, bob, carol]) await strokes(page, 0);
});

test("a long stroke goes out in pieces, is one to undo, and a board drawn full drops its oldest strokes", async (t) => {
  const alice = await enter(t, "full", "alice"),
    bob = await enter(t, "full", "bob");
  await alice.evaluate(() => {
    const canvas = document.getElementById("live"),
      box = canvas.getBoundingClientRect();
    const at = (type, x, y) =>
      canvas.dispatchEvent(
        new PointerEvent(type, { pointerId: 1, button: 0, clientX: box.left + x, clientY: box.top + y, bubbles: true }),
      );
    canvas.setPointerCapture = () => {};
    // A scribble of 400 corners: nothing to simplify.
    at("pointerdown", 10, 10);
    for (let n = 0; n < 400; n += 1) at("pointermove", 10 + n, 60 + (n % 2 ? 50 : 0) + (n % 7) * 3);
    at("pointerup", 410, 60);
  });
  await strokes(bob, 4);
  await alice.locator("#undo").click();
  await strokes(bob, 0);
  await stranger(
    t,
    browser,
    `http://127.0.0.1:${server.port}`,
    "/ws/demo-table-full/writer",
    Array.from({ length: 100 }, (_, n) =>
      JSON.stringify({
        type: "patch",
        id: n + 1,
        patch: {
          strokes: Object.fromEntries(
            Array.from({ length: 6 }, (_, at) => [
              `${(n * 6 + at).toString(36).padStart(6, "0")}.writer`,
              { c: 1, w: 0, p: [n * 15, 10, 0, at * 9] },
            ]),
          ),
        },
      }),
    ),
  );
  await strokes(bob, 600);
  await draw(alice, [
    [0.1, 0.9],
    [0.3, 0.9],
  ]);
  await settled(alice);
  await strokes(bob, 600);
});

test("tic-tac-toe: two play to a win, a third watches, illegal moves are explained, a seat can be given up", async (t) => {
  const [alice, bob, carol] = [
    await enter(t, "play", "alice"),
    await enter(t, "play", "bob"),
    await enter(t, "play", "carol"),
  ];
  const cell = (page, n) => page.locator(`#cells [data-cell="${n}"]`);
  const turn = (page, text) => page.locator("#turn", { hasText: text }).waitFor();
  await turn(alice, "Two seats are free.");
  await cell(alice, 0).click();
  await alice.locator("#game-note", { hasText: "Take a seat" }).waitFor();
  await alice.locator("#sit", { hasText: "Take a seat" }).click();
  await turn(alice, "Waiting for a second player.");
  await bob.locator("#sit").click();
  await turn(alice, "Your turn.");
  await turn(bob, "alice is thinking.");
  await turn(carol, "alice (X) is to move.");
  assert.ok(await carol.locator("#sit").isDisabled());
  await cell(bob, 0).click();
  await bob.locator("#game-note", { hasText: /other player's turn/ }).waitFor();
  for (const [page, n, mark] of [
    [alice, 0, "X"],
    [bob, 4, "O"],
    [alice, 1, "X"],
    [bob, 8, "O"],
  ]) {
    await cell(page, n).click();
    for (const each of [alice, bob, carol])
      await each.locator(`#cells [data-cell="${n}"][data-mark=${mark}]`).waitFor();
  }
  await cell(alice, 4).click();
  await alice.locator("#game-note", { hasText: /cell is taken/ }).waitFor();
  await cell(alice, 2).click();
  await turn(alice, "You won.");
  await turn(bob, "alice won.");
  await turn(carol, "alice won.");
  assert.equal(await carol.locator("#cells [data-won=true]").count(), 3);
  await bob.locator("#again").click();
  await turn(alice, "Your turn.");
  await bob.locator("#sit", { hasText: "Give up the seat" }).click();
  await turn(alice, "Waiting for a second player.");
  await carol.locator("#sit", { hasText: "Take a seat" }).click();
  await turn(bob, "alice (X) is to move.");
});

test("r5 a reloaded page has its seat, its board and its chat again, in the room and in the game", async (t) => {
  const alice = await enter(t, "reload", "alice"),
    bob = await enter(t, "reload", "bob");
  await alice.locator("#sit").click();
  await alice.locator("#turn", { hasText: "Waiting" }).waitFor();
  await say(alice, "before the reload");
  await draw(alice, [
    [0.2, 0.2],
    [0.6, 0.6],
  ]);
  await strokes(bob, 1);
  await settled(alice);
  await alice.reload();
  await online(alice);
  await strokes(alice, 1);
  await alice.locator("#log .resume.continuous").waitFor();
  await alice.locator("#turn", { hasText: "Waiting" }).waitFor();
  await say(bob, "after the reload");
  await line(alice, "after the reload").waitFor();
  assert.deepEqual(await lines(alice), ["before the reload", "after the reload"]);
  await isTrue(alice);
});

test("one connection carries the board, the chat and the game", async (t) => {
  const sockets = [];
  const alice = await enter(t, "single", "alice", {
    before: (page) => page.on("websocket", (socket) => sockets.push(socket)),
  });
  await alice.locator("#sit").click();
  await alice.locator("#turn", { hasText: "Waiting for a second player." }).waitFor();
  await say(alice, "hello");
  await line(alice, "hello").waitFor();
  assert.equal(sockets.length, 1);
});

test("whoever comes later finds the last fifty lines of the chat, and then the new ones", async (t) => {
  const alice = await enter(t, "later", "alice");
  for (let n = 1; n <= 55; n += 1) await say(alice, `line ${n}`);
  await line(alice, "line 55").waitFor();
  const bob = await enter(t, "later", "bob");
  await line(bob, "line 55").waitFor();
  assert.deepEqual(
    await lines(bob),
    Array.from({ length: 50 }, (_, n) => `line ${n + 6}`),
  );
  assert.equal(await bob.locator("#log .line .who").first().textContent(), "alice");
  await say(alice, "a new one");
  await line(bob, "a new one").waitFor();
  assert.equal((await lines(bob)).length, 51);
  for (const page of [alice, bob]) await isTrue(page);
});

test("the board is cleared only when one says so twice", async (t) => {
  const alice = await enter(t, "clear", "alice"),
    bob = await enter(t, "clear", "bob");
  await alice.locator("#clear").click();
  assert.ok(await alice.locator("#ask-clear").isHidden(), "there is nothing to clear");
  await draw(bob, [
    [0.2, 0.2],
    [0.6, 0.6],
  ]);
  await strokes(alice, 1);
  await alice.locator("#clear").click();
  await alice.locator("#ask-clear[open]").waitFor();
  await alice.keyboard.press("Escape");
  await alice.locator("#clear").click();
  await alice.locator("#ask-clear button[value=keep]").click();
  await strokes(alice, 1);
  await alice.locator("#clear").click();
  await alice.locator("#ask-clear button[value=clear]").click();
  for (const page of [alice, bob]) await strokes(page, 0);
});

test("on a phone everybody is shown by name", async (t) => {
  const people = Array.from({ length: 16 }, (_, n) => `guest-${String.fromCharCode(97 + n)}`);
  const page = await enter(t, "crowd", "alice", PHONE);
  await Promise.all(
    people.map((who) => stranger(t, browser, `http://127.0.0.1:${server.port}`, `/ws/demo-table-crowd/${who}`, [])),
  );
  for (const who of people) await presence(page, who, "joined");
  const last = page.locator(`#people li[data-player="${people.at(-1)}"] .name`);
  await last.scrollIntoViewIfNeeded();
  const box = await last.boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 390, JSON.stringify(box));
  assert.equal(
    await page.evaluate(() => document.scrollingElement.scrollWidth),
    390,
    "the page itself does not move sideways",
  );
});

test("a second player opens beside the first, and leaves when it is closed", async (t) => {
  const relay = await startRelay(t, server.port),
    alice = await joined(t, browser, relay.port, "beside", "alice");
  await alice.locator("#second").click();
  const frame = alice.frameLocator("#beside iframe");
  await frame.locator("#status[data-status=online]").waitFor();
  await frame.locator("#text").fill("hello from beside");
  await frame.locator("#text").press("Enter");
  await line(alice, "hello from beside").waitFor();
  assert.equal(await alice.locator("#people li").count(), 2);
  // She is away for as long as it takes to see it.
  relay.shut();
  await alice.locator("#cut").click();
  // Its connection is its own.
  await frame.locator("#people li[data-player=alice][data-status=away]").waitFor();
  assert.equal(await frame.locator("#status").getAttribute("data-status"), "online");
  relay.open();
  await status(alice, "online");
  await alice.locator("#beside button").click();
  await until("one is left", async () => (await alice.locator("#people li").count()) === 1);
});
