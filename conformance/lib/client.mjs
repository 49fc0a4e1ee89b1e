//! Owns the program under test of the client half: it takes JSON lines on its standard input and answers with JSON lines.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { PATIENCE, Deviation } from "./peer.mjs";

export class Client {
  #events = [];
  #waiting = [];

  /** `command` is a line for the shell. */
  constructor(command) {
    this.child = spawn("sh", ["-c", `exec ${command}`], { stdio: ["pipe", "pipe", "inherit"] });
    this.child.on("exit", (code) => this.#push({ event: "exit", code }));
    this.child.stdin.on("error", () => {});
    createInterface({ input: this.child.stdout }).on("line", (line) => this.#push(JSON.parse(line)));
  }

  #push(event) {
    this.#events.push(event);
    this.#waiting.splice(0).forEach((wake) => wake());
  }

  do(action, fields = {}) {
    this.child.stdin.write(`${JSON.stringify({ do: action, ...fields })}\n`);
  }

  /** The next event of this name that fits; those before it are dropped. */
  async until(name, fits = () => true, within = PATIENCE) {
    for (const end = Date.now() + within; ;) {
      while (this.#events.length > 0) {
        const event = this.#events.shift();
        if (event.event === name && fits(event)) return event;
        if (event.event === "exit") throw new Deviation(`the client ends with ${event.code} before a ${name}`);
      }
      if (Date.now() > end) throw new Deviation(`the client reports no ${name}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#waiting.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  /** Everything reported so far that was not read. */
  take() {
    return this.#events.splice(0);
  }

  stop() {
    this.child.kill("SIGKILL");
  }
}
