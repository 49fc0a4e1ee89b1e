//! Owns the tests of OpenAI's own clients, in JavaScript and Python, against the real server's proxy and a stand-in for OpenAI.
//! Run by scripts/test, which installs both clients; by hand `INNKEEPER_BIN=… SDK_PYTHON=… npm test` in this folder.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { generate } from "selfsigned";
import { WebSocket, WebSocketServer } from "ws";

const { INNKEEPER_BIN: binary, SDK_PYTHON: python } = process.env;
assert.ok(binary, "set INNKEEPER_BIN to the server's binary");
assert.ok(python, "set SDK_PYTHON to a Python that has what requirements.txt names");

const KEY = "sk-the-servers-own";
const SECRET = "a secret of at least thirty-two bytes";
const AUDIO = Buffer.from([1, 2, 3]).toString("base64");
const directory = mkdtempSync(join(tmpdir(), "innkeeper-sdk-"));

let openai, server, front, port, tlsPort, ca;
/** What the stand-in saw of each connection. */
const seen = [];

before(async () => {
  openai = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  openai.on("connection", (socket, { url, headers }) => {
    const visit = { url, authorization: headers.authorization, types: [] };
    seen.push(visit);
    const say = (event) => socket.send(JSON.stringify({ event_id: `event_${visit.types.length}`, ...event }));
    say({ type: "session.created", session: { type: "realtime", id: "sess_1", model: "gpt-realtime" } });
    socket.on("message", (data) => {
      const event = JSON.parse(data);
      visit.types.push(event.type);
      if (event.type === "session.update") say({ type: "session.updated", session: event.session });
      if (event.type === "response.create") {
        const part = { response_id: "resp_1", item_id: "item_1", output_index: 0, content_index: 0 };
        say({ type: "response.output_text.delta", ...part, delta: "Hel" });
        say({ type: "response.output_text.delta", ...part, delta: "lo" });
        say({ type: "response.output_audio.delta", ...part, delta: AUDIO });
        say({
          type: "response.done",
          response: { id: "resp_1", object: "realtime.response", status: "completed", output: [] },
        });
      }
    });
  });
  await new Promise((done) => openai.once("listening", done));

  const config = join(directory, "config.yaml");
  writeFileSync(config, "proxies:\n  openai:\n    allowed_types: [session.update, response.create]\n");
  server = spawn(binary, [], {
    env: {
      HOST: "127.0.0.1",
      PORT: "0",
      LOG_FORMAT: "json",
      DATA_DIR: join(directory, "data"),
      CONFIG_FILE: config,
      HUBS: "none",
      JWT_SECRET: SECRET,
      OPENAI_API_KEY: KEY,
      OPENAI_REALTIME_URL: `ws://127.0.0.1:${openai.address().port}/v1/realtime`,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  port = await new Promise((done, failed) => {
    createInterface({ input: server.stdout }).on("line", (text) => {
      const line = JSON.parse(text);
      if (line.message === "listening") done(line.port);
    });
    server.once("exit", (code) => failed(new Error(`the server ended with ${code}`)));
  });

  // The JavaScript client knows wss alone, whatever its baseURL says: TLS ends before the server, as it does where it is deployed.
  const pair = await generate([{ name: "commonName", value: "localhost" }], {
    keySize: 2048,
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
    ],
  });
  ca = pair.cert;
  front = createTlsServer({ key: pair.private, cert: pair.cert }, (near) => {
    const far = connect(port, "127.0.0.1");
    near.on("error", () => far.destroy()).pipe(far);
    far.on("error", () => near.destroy()).pipe(near);
  });
  await new Promise((done) => front.listen(0, "127.0.0.1", done));
  tlsPort = front.address().port;
});

after(() => {
  server?.kill("SIGKILL");
  openai?.clients.forEach((client) => client.terminate());
  openai?.close();
  front?.close();
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

/** A player's token, in place of OpenAI's key. */
function token(player) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: player, exp: Math.floor(Date.now() / 1000) + 600 })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

const clientOf = (player) =>
  new OpenAI({
    baseURL: `https://localhost:${tlsPort}/proxy/openai`,
    apiKey: token(player),
    dangerouslyAllowBrowser: true,
  });

/** The next event of this type; an error of the client's own fails. */
const next = (realtime, type) =>
  new Promise((done, failed) => {
    realtime.on(type, done);
    if (type !== "error") realtime.on("error", failed);
    realtime.socket.addEventListener("close", ({ code, reason }) => failed(new Error(`closed with ${code} ${reason}`)));
  });

async function converse(realtime) {
  const deltas = [];
  realtime.on("response.output_text.delta", ({ delta }) => deltas.push(delta));
  realtime.on("response.output_audio.delta", ({ delta }) => deltas.push(delta));
  const { session } = await next(realtime, "session.created");
  assert.equal(session.id, "sess_1");
  const updated = next(realtime, "session.updated"),
    done = next(realtime, "response.done");
  realtime.send({ type: "session.update", session: { type: "realtime", instructions: "be brief" } });
  realtime.send({ type: "response.create" });
  assert.equal((await updated).session.instructions, "be brief");
  assert.equal((await done).response.status, "completed");
  assert.deepEqual(deltas, ["Hel", "lo", AUDIO]);
  realtime.off("error");
}

/** What the proxy does not pass on is an error event, as one of OpenAI's own is. */
async function mistake(realtime) {
  const told = new Promise((done) => realtime.on("error", done));
  realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content: [] } });
  const error = await told;
  assert.equal(error.error.type, "innkeeper");
  assert.equal(error.error.code, "forbidden");
  assert.match(error.message, /passes on only/);
}

function checked(visit) {
  assert.deepEqual(visit, {
    url: "/v1/realtime?model=gpt-realtime",
    authorization: `Bearer ${KEY}`,
    types: ["session.update", "response.create"],
  });
}

/** As `EventEmitter.off`, for all handlers of errors: those of the calls before. */
function quiet(realtime) {
  const handlers = new Set();
  const { on } = realtime;
  realtime.on = (type, handler) => (type === "error" && handlers.add(handler), on.call(realtime, type, handler));
  const { off } = realtime;
  realtime.off = (type) => {
    handlers.forEach((handler) => off.call(realtime, type, handler));
    handlers.clear();
  };
  return realtime;
}

test("x6 OpenAI's JavaScript client for servers, whose key is in a header", async () => {
  const realtime = quiet(new OpenAIRealtimeWS({ model: "gpt-realtime", options: { ca } }, clientOf("node")));
  await converse(realtime);
  await mistake(realtime);
  realtime.close();
  checked(seen.at(-1));
});

test("x6 a14 OpenAI's JavaScript client for browsers, whose key is a subprotocol", async () => {
  // Node 20 has no WebSocket of its own; this one, like a browser's, ends a connection of whose subprotocols none comes back.
  const own = globalThis.WebSocket;
  globalThis.WebSocket = class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { ca });
    }
  };
  try {
    const realtime = quiet(
      new OpenAIRealtimeWebSocket({ model: "gpt-realtime", dangerouslyAllowBrowser: true }, clientOf("browser")),
    );
    await converse(realtime);
    assert.equal(realtime.socket.protocol, "realtime");
    await mistake(realtime);
    realtime.close();
    checked(seen.at(-1));
  } finally {
    globalThis.WebSocket = own;
  }
});

test("x6 a token that is no good is an error event of OpenAI's JavaScript client", async () => {
  const client = new OpenAI({ baseURL: `https://localhost:${tlsPort}/proxy/openai`, apiKey: "no.token.atall" });
  const realtime = new OpenAIRealtimeWS({ model: "gpt-realtime", options: { ca } }, client);
  const error = await new Promise((done) => realtime.on("error", done));
  assert.equal(error.error.code, "token_malformed");
});

test("x6 OpenAI's Python client", async () => {
  const script = fileURLToPath(new URL("openai_client.py", import.meta.url));
  const child = spawn(python, [script, `ws://127.0.0.1:${port}/proxy/openai`, token("python")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part) => {
    text += part;
  });
  assert.equal(await new Promise((done) => child.once("close", done)), 0);
  const { session, instructions, deltas, error } = JSON.parse(text);
  assert.deepEqual([session, instructions, deltas], ["sess_1", "be brief", ["Hel", "lo", AUDIO]]);
  assert.deepEqual([error.type, error.code], ["innkeeper", "forbidden"]);
  assert.match(error.message, /passes on only/);
  checked(seen.at(-1));
});
