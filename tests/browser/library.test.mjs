//! Owns the tests of the client library in a page of somebody else's: React in StrictMode, a strict content policy.
//! Run by scripts/test, or `INNKEEPER_BIN=… npm test` in this folder; needs the built library and frontend-client's packages.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { directory, open, serverFor, startBrowser, until } from "./support.mjs";

const source = fileURLToPath(new URL("../../frontend-client/client/test/react-page", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript" };

let browser, stop, site, origin;
before(async () => {
  ({ browser, stop } = await startBrowser());
  const folder = await directory("react");
  const vite = createRequire(join(source, "page.tsx")).resolve("vite");
  const { build } = await import(pathToFileURL(vite).href);
  // React's development build: StrictMode does nothing in the other one.
  await build({
    root: source,
    base: "./",
    configFile: false,
    logLevel: "warn",
    define: { "process.env.NODE_ENV": '"development"' },
    build: { outDir: folder, emptyOutDir: true, minify: false, modulePreload: { polyfill: false } },
  });
  site = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://page");
    const path = pathname === "/" ? "/index.html" : pathname;
    if (path === "/plain.html") {
      response.writeHead(200, { "content-type": TYPES[".html"] });
      response.end(`<!doctype html><title>plain</title><p id="said"></p><script type="module">
        import { connect } from "${searchParams.get("server")}/client.js";
        const room = await connect("${searchParams.get("server")}", { game: "plain", player: "eve" }).join();
        room.on("message", ({ from, data }) => { document.getElementById("said").textContent = from + " says " + data; });
        await room.send("hello");
      </script>`);
      return;
    }
    try {
      const body = await readFile(join(folder, path));
      const policy = searchParams.get("policy");
      response.writeHead(200, {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        ...(policy ? { "content-security-policy": policy } : {}),
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  origin = `http://127.0.0.1:${site.address().port}`;
});
after(async () => {
  site?.close();
  await stop?.();
});

const address = (port, player, more = "") => `${origin}/?server=http://127.0.0.1:${port}&player=${player}${more}`;
const status = (page, text) => page.locator("#status", { hasText: new RegExp(`^${text}$`) }).waitFor();
const players = (page, text) => page.locator("#players", { hasText: new RegExp(`^${text}$`) }).waitFor();
const sockets = (page) => {
  const all = [];
  page.on("websocket", (socket) => all.push(socket));
  return all;
};

test("in StrictMode two components share one connection, hear everything once, and give the seat up when they go", async (t) => {
  const { port } = await serverFor(t);
  let opened;
  const alice = await open(t, browser, address(port, "alice"), {
    before: (page) => {
      opened = sockets(page);
    },
  });
  await status(alice, "online");
  const bob = await open(t, browser, address(port, "bob"));
  await players(alice, "alice:joined bob:joined");
  for (const page of [alice, bob, alice]) {
    const before = await page.locator("#lines li").count();
    await page.locator("#say").click();
    await page.locator("#lines li").nth(before).waitFor();
    await page.locator("#add").click();
  }
  await alice.locator("#lines li").nth(2).waitFor();
  await until(
    "three lines each",
    async () => (await alice.locator("#lines li").count()) === 3 && (await bob.locator("#lines li").count()) === 3,
  );
  assert.deepEqual(
    await alice.locator("#lines li").allTextContents(),
    await bob.locator("#lines li").allTextContents(),
  );
  await alice.locator("#count", { hasText: /^[123]$/ }).waitFor();
  assert.equal(opened.length, 1, "one connection");
  await bob.locator("#toggle").click();
  // Given up, not only away.
  await players(alice, "alice:joined");
  await bob.locator("#toggle").click();
  await players(alice, "alice:joined bob:joined");
  await bob.locator("#other").click();
  await status(bob, "online");
  await players(alice, "alice:joined");
  await players(bob, "bob:joined");
});

test("taken away and put back again at once, over and over, it is never told that its own seat is taken", async (t) => {
  const { port } = await serverFor(t);
  for (const more of ["", "&keep=1"]) {
    const page = await open(t, browser, address(port, `carol${more.length}`, more));
    for (let n = 0; n < 15; n += 1) {
      // In and out in turns of their own, most of them before the first welcome.
      await page.evaluate(
        async (pause) => {
          document.getElementById("toggle").click();
          await new Promise((done) => setTimeout(done, pause));
          document.getElementById("toggle").click();
        },
        n % 3 ? n : 0,
      );
      if (n % 5 === 0) await status(page, "online");
    }
    await status(page, "online");
    assert.equal(await page.locator("#status").getAttribute("data-code"), null);
    await page.locator("#say").click();
    await page.locator("#lines li").first().waitFor();
  }
});

test("a page whose policy forbids the address is told so, and does not wait for ever", async (t) => {
  const { port } = await serverFor(t);
  const page = await (await browser.newContext()).newPage();
  t.after(() => page.context().close());
  await page.goto(address(port, "dora", `&policy=${encodeURIComponent("default-src 'self'; connect-src 'self'")}`));
  await status(page, "closed");
  assert.equal(await page.locator("#status").getAttribute("data-code"), "blocked");
});

test("a page of another origin imports the library from the server, without a build, and is in a room", async (t) => {
  const { port } = await serverFor(t),
    server = `http://127.0.0.1:${port}`;
  if (!(await fetch(`${server}/client.js`)).ok) {
    t.skip("this server was built without pages");
    return;
  }
  const page = await open(t, browser, `${origin}/plain.html?server=${server}`);
  await page.locator("#said", { hasText: /^eve says hello$/ }).waitFor();
});
