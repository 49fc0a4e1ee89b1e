//! Owns what the topic `stats` says of hubs and proxies, as rows to show: states in one word, rates from totals, who needs help.
//! Called by feeds.ts once a second; an older server sends neither list, and then there are no rows.

import { isObject } from "../../shared/dom";
import type { Stats } from "./series";

/** What the page shows: `idle` when nobody is there, so that there is no upstream; `off` when the settings say so. */
export const STATES = ["live", "stale", "down", "connecting", "idle", "off", "on"] as const;
export type State = (typeof STATES)[number];

/** `perSecond` is `null` until two values of one process are known, `idleMs` until something came from the upstream. */
export interface HubRow {
  name: string;
  provider: string;
  state: State | "";
  word: string;
  clients: number;
  topics: number;
  upstreams: number;
  attempts: number;
  idleMs: number | null;
  perSecond: number | null;
  gaps: number;
  /** It has clients, and nothing to give them: it is down, or it tries again after a failure. */
  needy: boolean;
}
export interface ProxyRow {
  name: string;
  state: "on" | "off";
  word: string;
  sessions: number;
  sessionsSoFar: number;
  inPerSecond: number | null;
  outPerSecond: number | null;
  budgetCloses: number;
}

/** Rates are means over so long: of a feed with a value every other second one wants to read 0.5, not 0 and 1 in turns. */
const WINDOW_MS = 5000;

type Fields = Record<string, unknown>;

export class Flows {
  #seen: { time: number; uptime: number; totals: Map<string, number> }[] = [];

  /** The rows of one value of `stats`, in the server's order. */
  add(stats: Stats): { hubs: HubRow[]; proxies: ProxyRow[] } {
    const hubs = named(stats.hubs, "hub"),
      proxies = named(stats.proxies, "proxy"),
      totals = new Map<string, number>();
    for (const [name, fields] of hubs) totals.set(`messages ${name}`, number(fields.messages));
    for (const [name, fields] of proxies)
      for (const key of ["bytes_in", "bytes_out"]) totals.set(`${key} ${name}`, number(fields[key]));
    this.#keep({ time: stats.time, uptime: stats.uptime_ms, totals });
    return {
      hubs: hubs.map(([name, fields]) => this.#hub(name, fields)),
      proxies: proxies.map(([name, fields]) => this.#proxy(name, fields)),
    };
  }

  #keep(now: { time: number; uptime: number; totals: Map<string, number> }): void {
    const last = this.#seen.at(-1);
    // As in series.ts: totals of another process are no base for a difference.
    if (last && now.uptime <= last.uptime) this.#seen = [];
    this.#seen = this.#seen.filter(({ time }) => time < now.time && now.time - time <= WINDOW_MS);
    this.#seen.push(now);
  }

  #rate(key: string): number | null {
    const last = this.#seen.at(-1),
      first = this.#seen.find(({ totals }) => totals.has(key));
    if (!last || !first || first === last) return null;
    const grown = last.totals.get(key)! - first.totals.get(key)!;
    return grown < 0 ? null : grown / ((last.time - first.time) / 1000);
  }

  #hub(name: string, fields: Fields): HubRow {
    const { state, word } = stateOf(fields),
      clients = number(fields.clients),
      attempts = number(fields.reconnect_attempts);
    // Each new attempt is `connecting` for a while, up to its timeout: the alarm must not come and go with them.
    const isDown = state === "down" || (state === "connecting" && attempts > 0);
    return {
      name,
      provider: text(fields.provider),
      state,
      word,
      clients,
      topics: number(fields.topics),
      upstreams: number(fields.upstream_connections),
      attempts,
      idleMs: typeof fields.last_message_age_ms === "number" ? fields.last_message_age_ms : null,
      perSecond: this.#rate(`messages ${name}`),
      gaps: number(fields.gaps),
      needy: isDown && clients > 0,
    };
  }

  #proxy(name: string, fields: Fields): ProxyRow {
    const state = fields.enabled === false ? "off" : "on";
    return {
      name,
      state,
      word: state,
      sessions: number(fields.sessions),
      sessionsSoFar: number(fields.sessions_total),
      inPerSecond: this.#rate(`bytes_in ${name}`),
      outPerSecond: this.#rate(`bytes_out ${name}`),
      budgetCloses: number(fields.budget_closes),
    };
  }
}

/** A state that this page does not know yet is shown by the server's word, without a mark. */
function stateOf(fields: Fields): { state: State | ""; word: string } {
  const said = fields.enabled === false ? "off" : fields.state === "disconnected" ? "idle" : text(fields.state);
  return { state: STATES.find((state) => state === said) ?? "", word: said };
}

/** A sentence that names the hubs in need, empty if there are none. It changes with their names alone: a screen reader says every change. */
export function alarm(hubs: HubRow[]): string {
  const needy = hubs.filter((hub) => hub.needy).map(({ name }) => name);
  return needy.length === 0 ? "" : `Down while clients wait: ${needy.join(", ")}.`;
}

/** How many are in which state, the most urgent first: `1 down, 2 live`. */
export function summary(rows: { word: string }[]): string {
  const urgent = ["down", "stale", "connecting", "live", "on", "idle", "off"],
    totals = new Map<string, number>();
  for (const { word } of rows) totals.set(word, (totals.get(word) ?? 0) + 1);
  const rank = (word: string) => (urgent.includes(word) ? urgent.indexOf(word) : urgent.length);
  return [...totals]
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([word, total]) => `${total} ${word}`)
    .join(", ");
}

const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The entries of a list by the field that names them; what has no name is left out. */
function named(list: unknown, key: string): [name: string, fields: Fields][] {
  return (Array.isArray(list) ? list : [])
    .filter(isObject)
    .filter((fields) => typeof fields[key] === "string")
    .map((fields) => [fields[key] as string, fields]);
}
