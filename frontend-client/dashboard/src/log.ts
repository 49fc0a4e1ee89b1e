//! Owns the tail of the security log and its filters.
//! Called by main.ts with what the topic `security` brings.

import { $, h, isObject, say } from "../../shared/dom";
import { clock } from "./format";

export interface Line {
  time: number;
  level: string;
  event: string;
  game?: string;
  player?: string;
  address?: string;
  [more: string]: unknown;
}

const KEPT = 2000,
  SHOWN = 250;
const NAMED = new Set(["time", "level", "event", "game", "player", "address", "message", "target", "n"]);

export class SecurityLog {
  #lines: Line[] = [];
  #events = new Set<string>();
  #paused = false;
  #due = false;

  constructor() {
    for (const id of ["log-event", "log-level", "log-text"]) $(id).addEventListener("input", () => this.#show());
    $("log-pause").addEventListener("click", () => {
      this.#paused = !this.#paused;
      $("log-pause").setAttribute("aria-pressed", String(this.#paused));
      say($("log-pause"), this.#paused ? "Go on" : "Pause");
      this.#show();
    });
  }

  add(value: unknown, snapshot: boolean): void {
    const lines = isObject(value) && Array.isArray(value.lines) ? value.lines.filter(isLine) : [];
    if (snapshot) this.#lines = [];
    this.#lines.push(...lines);
    if (this.#lines.length > KEPT) this.#lines.splice(0, this.#lines.length - KEPT);
    for (const { event } of lines) this.#offer(event);
    if (this.#paused || this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      if (!this.#paused) this.#show();
    });
  }

  #offer(event: string): void {
    if (this.#events.has(event) || this.#events.size > 200) return;
    this.#events.add(event);
    const select = $<HTMLSelectElement>("log-event"),
      option = h("option", { value: event }, short(event));
    select.insertBefore(option, [...select.options].slice(1).find((other) => other.value > event) ?? null);
  }

  #show(): void {
    const event = $<HTMLSelectElement>("log-event").value,
      level = $<HTMLSelectElement>("log-level").value;
    const text = $<HTMLInputElement>("log-text").value.trim().toLowerCase();
    const fits = (line: Line) =>
      (!event || line.event === event) &&
      (!level || line.level === level) &&
      (!text || [line.player, line.game, line.address].some((part) => part?.toLowerCase().includes(text)));
    const found = this.#lines.filter(fits);
    say($("security-count"), `${found.length} of ${this.#lines.length} lines${this.#paused ? ", paused" : ""}`);
    $("lines").replaceChildren(...found.slice(-SHOWN).reverse().map(row));
  }
}

function isLine(value: unknown): value is Line {
  return isObject(value) && typeof value.event === "string" && typeof value.time === "number";
}

const short = (event: string) => event.replace(/^WS_/, "").replaceAll("_", " ").toLowerCase();

function row(line: Line): HTMLElement {
  const more = Object.entries(line)
    .filter(([key, value]) => !NAMED.has(key) && value !== null && value !== undefined)
    .map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join("  ");
  return h(
    "div",
    { class: "entry", data: { level: line.level, event: line.event } },
    h("time", { class: "num", datetime: new Date(line.time).toISOString() }, clock(line.time)),
    h("span", { class: "level" }, line.level),
    h("span", { class: "event" }, short(line.event)),
    h("span", { class: "who" }, [line.player, line.game].filter(Boolean).join(" in ")),
    h("span", { class: "more" }, [line.address, more].filter(Boolean).join("  ")),
  );
}
