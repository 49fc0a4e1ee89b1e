//! Owns the real server that tests run against, and a network in front of it that can be cut and clogged.
//! Used by `real.test.ts`.

import { spawn, type ChildProcess } from "node:child_process";
import { createHmac } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect as dial, type AddressInfo, type Server as Listener, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** The server under test; `undefined` when it was not built. */
export const binary = [
  process.env.INNKEEPER_BIN,
  join(root, "target/release/innkeeper"),
  join(root, "target/debug/innkeeper"),
].find((path) => path !== undefined && existsSync(path));

/** One process at a time on one port and one directory, both of which outlive it. */
export class Server {
  private child: ChildProcess | undefined;
  private log = "";
  private constructor(
    readonly port: number,
    private directory: string,
    private settings: { [name: string]: string },
  ) {}

  /** `config` is the text of its config.yaml. */
  static async start(settings: { [name: string]: string } = {}, config?: string): Promise<Server> {
    const server = new Server(await freePort(), mkdtempSync(join(tmpdir(), "innkeeper-client-")), settings);
    onTestFinished(async () => {
      await server.end("SIGKILL");
      rmSync(server.directory, { recursive: true, force: true });
    });
    if (config !== undefined) writeFileSync(join(server.directory, "config.yaml"), config);
    await server.again();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it, or starts it again on the same data. */
  async again(): Promise<void> {
    const child = spawn(binary ?? "innkeeper", ["--host", "127.0.0.1", "--port", String(this.port)], {
      cwd: this.directory,
      env: {
        DATA_DIR: join(this.directory, "data"),
        LOG_FORMAT: "json",
        RATE_LIMIT_MAX_REQUESTS: "1000000",
        MAX_CONNECTIONS_PER_IP: "1000",
        MAX_ROOMS_PER_ADDRESS: "100000000",
        DRAIN_SPREAD_MS: "200",
        ...this.settings,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    const note = (text: Buffer) => (this.log += text.toString());
    child.stdout?.on("data", note);
    child.stderr?.on("data", note);
    while (child.exitCode === null && child.signalCode === null) {
      const answer = await fetch(`${this.url}/ready`).catch(() => undefined);
      if (answer?.ok) return;
      await sleep(10);
    }
    throw new Error(`the server ended instead of starting:\n${this.log}`);
  }

  /** Ends the process, and waits until it is gone. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }
}

/** A network between a client and the server. */
export class Network {
  private pairs = new Set<[Socket, Socket]>();
  private isClogged = false;
  private constructor(private listener: Listener) {}

  static async before(server: Server): Promise<Network> {
    const listener = createServer();
    const network = new Network(listener);
    listener.on("connection", (near) => {
      const far = dial(server.port, "127.0.0.1");
      const pair: [Socket, Socket] = [near, far];
      network.pairs.add(pair);
      for (const [from, to] of [pair, [far, near]] as const) {
        from.on("data", (bytes) => to.write(bytes));
        from.on("end", () => to.end());
        from.on("error", () => to.destroy());
        from.on("close", () => network.pairs.delete(pair) && to.end());
        if (network.isClogged) from.pause();
      }
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      network.cut();
      listener.close();
    });
    return network;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.listener.address() as AddressInfo).port}`;
  }

  /** Breaks every connection, on both sides. */
  cut(): void {
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
  }

  /** Nothing gets through, and nobody is told: what was written meanwhile arrives when it is opened again. */
  clog(isClogged: boolean): void {
    this.isClogged = isClogged;
    for (const pair of this.pairs) for (const socket of pair) socket[isClogged ? "pause" : "resume"]();
  }
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until it is so; the test's own time limit says when that is too late. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

/** An HS256 token. */
export function jwt(secret: string, claims: { sub: string; exp: number }): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
