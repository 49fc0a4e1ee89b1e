//! Owns how the tests handle the demo: join, say, draw, read what a page shows.
//! Used by *.test.mjs in this folder.

import assert from "node:assert/strict";
import { open, until } from "./support.mjs";

/** A page in a room, online. */
export async function joined(t, browser, port, room, player, options = {}) {
  const page = await open(
    t,
    browser,
    `http://127.0.0.1:${port}/?room=${room}&player=${player}${options.hash ?? ""}`,
    options,
  );
  await online(page);
  return page;
}

export const status = (page, name) => page.locator(`#status[data-status=${name}]`).waitFor();
export const online = async (page) => {
  await page.locator("#table").waitFor();
  await status(page, "online");
};
export const presence = (page, player, state) =>
  page.locator(`#people li[data-player="${player}"][data-status=${state}]`).waitFor();
export const line = (page, text) => page.locator("#log .line:not(.pending) .body").getByText(text, { exact: true });
export const fact = (page, name) => page.locator(`#${name}`).textContent();

export async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.locator("#text").press("Enter");
}

/** Every chat line the page shows, in order; unconfirmed ones are not lines yet. */
export const lines = (page) => page.locator("#log .line:not(.pending) .body").allTextContents();

/** Draws through these points, given as parts of the board's width and height. */
export async function draw(page, points, { lift = true } = {}) {
  const box = await page.locator("#live").boundingBox(),
    at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(points[0]));
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 6 });
  if (lift) await page.mouse.up();
}

/** Strokes that are in the room's state, and how many of the page's own are not confirmed yet. */
export const strokes = (page, count) => page.locator(`#sheet[data-strokes="${count}"][data-pending="0"]`).waitFor();

/** What is painted on one of the board's canvases: how many points of a coarse raster are not empty. */
export const painted = (page, canvas) =>
  page.evaluate((id) => {
    const from = document.getElementById(id),
      raster = new OffscreenCanvas(160, 100),
      context = raster.getContext("2d");
    context.drawImage(from, 0, 0, 160, 100);
    return context.getImageData(0, 0, 160, 100).data.filter((value, at) => at % 4 === 3 && value > 20).length;
  }, canvas);

/** Both witnesses agree: nothing lost, nothing twice. */
export async function isTrue(page) {
  assert.equal(await fact(page, "lost"), "0");
  assert.equal(await fact(page, "doubled"), "0");
}

/** Everything that was sent is confirmed. */
export const settled = (page) =>
  until("confirmed what was sent", async () => (await fact(page, "sent")) === (await fact(page, "confirmed")));

/** A client that is no page of ours says these frames once it is welcomed; it stays until the test ends. */
export async function stranger(t, browser, origin, path, frames) {
  // Any answer of the server's will do for a place to connect from.
  const page = await open(t, browser, `${origin}/health`);
  await page.evaluate(
    ([url, texts]) =>
      new Promise((done) => {
        const socket = (globalThis.socket = new WebSocket(url));
        socket.onmessage = () => {
          socket.onmessage = null;
          texts.forEach((text) => socket.send(text));
          done();
        };
      }),
    [`${origin.replace("http", "ws")}${path}`, frames],
  );
}
