//! Owns what the browser tests stand on: the real server, a browser, pages whose complaints fail the test that opened them.
//! Used by *.test.mjs in this folder.
//
// INNKEEPER_BIN   the server's binary
// INNKEEPER_PAGES a folder to serve in place of the pages in the binary (frontend-client/dist): for work without a build of the server
// CHROMIUM        the browser; Debian's by default
// SCREENSHOTS     a folder for pictures; target/screenshots by default
// PATIENCE_MS     how long to wait for what must come

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const PATIENCE = Number(process.env.PATIENCE_MS ?? 60_000);
const binary = process.env.INNKEEPER_BIN;
assert.ok(binary, "set INNKEEPER_BIN to the server's binary, e.g. ../../target/debug/innkeeper");
const pages = process.env.INNKEEPER_PAGES && resolve(process.env.INNKEEPER_PAGES);
const pictures = process.env.SCREENSHOTS ?? fileURLToPath(new URL("../../target/screenshots", import.meta.url));
mkdirSync(pictures, { recursive: true });

/** A test that failed half way has not stopped its servers; nothing may outlive this process. */
const servers = new Set();
const directories = new Set();
process.on("exit", () => {
  servers.forEach((child) => child.kill("SIGKILL"));
  directories.forEach((directory) => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
});

export async function directory(name) {
  const made = await mkdtemp(join(tmpdir(), `innkeeper-${name}-`));
  directories.add(made);
  return made;
}

/** The server on a free port (or a given one), ready, with a DATA_DIR of its own unless one is given. */
export async function startServer({ port = 0, ...settings } = {}) {
  const data = settings.DATA_DIR ?? (await directory("data"));
  const child = spawn(binary, [], {
    env: {
      DATA_DIR: data,
      HOST: "127.0.0.1",
      PORT: String(port),
      LOG_FORMAT: "json",
      MAX_CONNECTIONS_PER_IP: "200",
      RATE_LIMIT_MAX_REQUESTS: "10000",
      DRAIN_SPREAD_MS: "200",
      ...settings,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  servers.add(child);
  const gone = new Promise((done) => child.once("exit", done)).then((code) => (servers.delete(child), code));
  const listening = new Promise((done, failed) => {
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line = JSON.parse(text);
      if (line.message === "listening") done(line.port);
    });
    child.once("error", failed);
    gone.then((code) => failed(new Error(`the server ended with ${code}`)));
  });
  const bound = await listening;
  // The operator key, unless a secret takes its place.
  const key = await readFile(join(data, "operator.key"), "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
  return {
    port: bound,
    data,
    key,
    stop: () => (child.kill("SIGTERM"), gone),
    kill: () => (child.kill("SIGKILL"), gone),
  };
}

/** A server for one test. */
export async function serverFor(t, settings) {
  const server = await startServer(settings);
  t.after(() => server.kill());
  return server;
}

/**
 * A line to the server that can be frozen: both ends stay open, nothing gets through. What was open then is cut by `thaw`.
 * Or shut: what is open stays as it is, and nobody else gets through until `open`; whoever was cut is away for as long.
 */
export async function startRelay(t, port) {
  const pairs = new Set();
  let isFrozen = false,
    isShut = false;
  const relay = createServer((near) => {
    if (isFrozen || isShut) {
      near.destroy();
      return;
    }
    const far = connect(port, "127.0.0.1"),
      pair = [near, far];
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      from.on("data", (bytes) => isFrozen || to.write(bytes));
      from
        .on("error", () => {})
        .on("close", () => {
          pairs.delete(pair);
          if (!isFrozen) to.destroy();
        });
    }
  });
  await new Promise((done) => relay.listen(0, "127.0.0.1", done));
  const cut = () => pairs.forEach((pair) => pair.forEach((socket) => socket.destroy()));
  t.after(() => {
    cut();
    relay.close();
  });
  return {
    port: relay.address().port,
    freeze: () => {
      isFrozen = true;
    },
    thaw: () => {
      cut();
      isFrozen = false;
    },
    shut: () => {
      isShut = true;
    },
    open: () => {
      isShut = false;
    },
  };
}

export async function startBrowser() {
  const profile = await directory("browser");
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // A page that did not come over the network may not connect to this machine.
      ...(pages ? ["--disable-features=LocalNetworkAccessChecks"] : []),
    ],
    // A home of its own: whatever the browser leaves behind goes with it.
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  });
  return {
    browser,
    stop: async () => {
      await browser.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css" };
/** As strict as the server's own. */
const POLICY =
  "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

async function fromFolder(route) {
  const { pathname } = new URL(route.request().url());
  const file =
    pathname === "/" ? "/index.html" : pathname.startsWith("/dashboard") ? "/dashboard/index.html" : pathname;
  const body = await readFile(join(pages, file), "utf8");
  const type = TYPES[file.split(".").pop()];
  await route.fulfill({
    body,
    headers: { "content-type": type, ...(type === TYPES.html ? { "content-security-policy": POLICY } : {}) },
  });
}

const isPage = ({ pathname }) =>
  pathname === "/" || /^\/dashboard\/?$/.test(pathname) || pathname.startsWith("/assets/");

/** A page in a browser of its own (its own storage). What it complains of fails the test that opened it. */
export async function open(t, browser, address, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    reducedMotion: "reduce",
    ...options,
  });
  t.after(() => context.close());
  const page = await context.newPage();
  watch(t, page);
  if (pages) await context.route(isPage, fromFolder);
  await options.before?.(page);
  await page.goto(address);
  return page;
}

export function watch(t, page) {
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // The browser itself reports every failed connection and every refusal; that is what some tests are about.
    if (message.type() === "error" && !/WebSocket connection|Failed to load resource/.test(message.text()))
      complaints.push(message.text());
  });
  t.after(() => assert.deepEqual(complaints, []));
}

export const picture = (page, name, more = {}) => page.screenshot({ path: join(pictures, `${name}.png`), ...more });

export const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

const axe = await readFile(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

/** What axe finds that is serious or worse, in a form that a failed test can show. */
export async function findings(page) {
  // Through the debugger: the pages' own policy lets no script in.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 150)} ${failureSummary}`).join(" | ")}`,
    );
}

/** A token as a back end would make it (HS256). */
export function jwt(secret, claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** Waits until the page's expression is true; polls, because what is waited for is often no DOM. */
export async function until(what, check) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) assert.fail(`in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
