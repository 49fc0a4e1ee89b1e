//! Owns the test of conformance/page.html: a browser checks the server over its own WebSocket.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { after, before, test } from "node:test";
import { open, picture, startBrowser, startServer } from "./support.mjs";

const TYPES = { ".html": "text/html; charset=utf-8", ".mjs": "text/javascript" };
const folder = new URL("../../conformance/", import.meta.url);

let server, files, browser, stop;
before(async () => {
  server = await startServer({ MAX_ROOMS_PER_ADDRESS: "1000" });
  files = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://files");
    const text = await readFile(new URL(`.${pathname}`, folder)).catch(() => null);
    response.writeHead(text === null ? 404 : 200, { "content-type": TYPES[extname(pathname)] ?? "text/plain" });
    response.end(text);
  });
  await new Promise((listening) => files.listen(0, "127.0.0.1", listening));
  ({ browser, stop } = await startBrowser());
});
after(async () => {
  await stop?.();
  files?.close();
  await server?.stop();
});

test("the page finds a verdict for each clause, and none that fails", async (t) => {
  const address = `http://127.0.0.1:${server.port}`;
  const page = await open(
    t,
    browser,
    `http://127.0.0.1:${files.address().port}/page.html?url=${encodeURIComponent(address)}`,
  );
  await page.locator("#summary[data-done]").waitFor();
  const failed = await page.locator("tr[data-verdict=fail]").allTextContents();
  assert.deepEqual(failed, []);
  assert.ok((await page.locator("tr[data-verdict=pass]").count()) >= 15, await page.locator("#summary").textContent());
  await picture(page, "conformance", { fullPage: true });
});
