//! Owns the servers that checks start: the command of `--start`, with an environment, a port and a directory of its own.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { PATIENCE, Deviation } from "./peer.mjs";

const running = new Set();

/** Ends what still runs, whatever ended this process. */
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

export const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Quiet limits: checks come from one address. */
const DEFAULTS = {
  HOST: "127.0.0.1",
  MAX_CONNECTIONS_PER_IP: "1000",
  RATE_LIMIT_MAX_REQUESTS: "100000",
  MAX_ROOMS_PER_ADDRESS: "100000",
};

/** Returns the function that starts a server by `command`, a line for the shell. The setting `config` is the text of its config.yaml. */
export function launcher(command) {
  return async (context, { config, ...settings }) => {
    const directory = mkdtempSync(join(tmpdir(), "conformance-"));
    const port = await freePort();
    const env = {
      PATH: process.env.PATH,
      ...DEFAULTS,
      DATA_DIR: join(directory, "data"),
      PORT: String(port),
      ...settings,
    };
    if (config) {
      env.CONFIG_FILE = join(directory, "config.yaml");
      writeFileSync(env.CONFIG_FILE, config);
    }
    const server = { port, directory: env.DATA_DIR, output: "", child: null };
    Object.assign(server, {
      async start() {
        server.child = spawn("sh", ["-c", `exec ${command}`], { env, stdio: ["ignore", "pipe", "pipe"] });
        running.add(server.child);
        server.exit = new Promise((resolve) => server.child.on("exit", (code, signal) => resolve(code ?? signal)));
        server.child.on("exit", () => running.delete(server.child));
        for (const stream of [server.child.stdout, server.child.stderr]) {
          stream.on("data", (data) => (server.output = (server.output + data).slice(-100_000)));
        }
        const base = `http://127.0.0.1:${port}`;
        for (const end = Date.now() + PATIENCE; ;) {
          if (server.child.exitCode !== null) throw new Deviation(`the server exits with ${server.child.exitCode}`);
          if (
            await fetch(`${base}/ready`).then(
              (answer) => answer.ok,
              () => false,
            )
          )
            break;
          if (Date.now() > end) throw new Deviation("the server is never ready");
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        let key = env.HTTP_API_SECRET ?? null;
        try {
          key ??= readFileSync(join(env.DATA_DIR, "operator.key"), "utf8").trim();
        } catch {
          // A server with tokens has none.
        }
        server.context = context.at(base, key);
        return server;
      },
      async kill(signal = "SIGKILL") {
        server.child.kill(signal);
        return server.exit;
      },
      async stop() {
        if (server.child.exitCode === null && server.child.signalCode === null) await server.kill();
        server.context?.done();
        rmSync(directory, { recursive: true, force: true });
      },
    });
    return server.start();
  };
}
