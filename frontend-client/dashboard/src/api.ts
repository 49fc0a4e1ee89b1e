//! Owns the operators' API (contract section 8) as the dashboard uses it, and the operator's token, kept in this tab.
//! Called by rooms.ts, room.ts and main.ts.

import { isObject, store } from "../../shared/dom";

const KEY = "innkeeper operator";

export const token = {
  get: (): string | undefined => store.get(KEY) ?? undefined,
  set: (value: string | undefined): void => store.set(KEY, value ?? null),
  /** Takes the key out of `#key=…`, which the server prints on a terminal: it must not stay in the address or the history. */
  fromFragment(): void {
    const key = new URLSearchParams(location.hash.slice(1)).get("key");
    if (key === null) return;
    history.replaceState(null, "", location.pathname + location.search);
    if (key.trim()) this.set(key.trim());
  },
};

/** A row of `GET /api/games`. */
export interface Row {
  game: string;
  players: number;
  connected: number;
  spectators: number;
  seq: number;
  epoch: string;
  age_ms: number;
  bytes: number;
  events_kept: number;
  logic: string;
  durability: string;
}
export interface Player {
  status: string;
  last_id: number;
  queue_bytes: number;
  queue_frames: number;
  latency_ms: number | null;
  connected_ms: number | null;
}
export interface Detail extends Omit<Row, "players"> {
  state: unknown;
  first_seq: number;
  players: Record<string, Player>;
}
export interface Event {
  type: string;
  seq: number;
  time?: number;
  from?: string;
  player?: string;
  status?: string;
  reason?: string;
  data?: unknown;
  patch?: unknown;
  only?: string[];
}

/** `code` is the API's (`not_found`, …), or `unreachable`. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const secret = token.get();
  let answer: Response;
  try {
    answer = await fetch(`/api/games${path}`, {
      method,
      cache: "no-store",
      signal: AbortSignal.timeout(20_000),
      headers: {
        ...headers,
        ...(secret ? { Authorization: `Bearer ${secret}` } : {}),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, "unreachable", "The server cannot be reached.");
  }
  const value: unknown = await answer.json().catch(() => ({}));
  if (answer.ok) return value as T;
  const error = isObject(value) && isObject(value.error) ? value.error : {};
  throw new ApiError(
    answer.status,
    String(error.code ?? answer.status),
    String(error.message ?? `The server answered ${answer.status}.`),
  );
}

const at = (game: string) => `/${encodeURIComponent(game)}`;

export const api = {
  /** All rooms that are open, by name; pages of 10,000. */
  async rooms(): Promise<Row[]> {
    const rows: Row[] = [];
    for (let after: string | null = ""; after !== null;) {
      const page: { games: Row[]; next: string | null } = await call(
        "GET",
        `?limit=10000${after ? `&after=${encodeURIComponent(after)}` : ""}`,
      );
      rows.push(...page.games);
      after = page.next;
    }
    return rows;
  },
  room: (game: string) => call<Detail>("GET", at(game)),
  events: (game: string, after: number, limit = 200) =>
    call<{ events: Event[]; first_seq: number; seq: number }>(
      "GET",
      `${at(game)}/events?after=${after}&limit=${limit}`,
    ),
  /** One key for one decision: pressed twice or sent again, it is applied once. */
  append: (game: string, body: { data: unknown } | { patch: unknown }, key: string) =>
    call<{ seq: number }>("POST", `${at(game)}/events`, body, { "Idempotency-Key": key }),
  /** `seq` is `null` where the player had no seat; `banS` seconds without the player follow, if it is given (S13). */
  kick: (game: string, player: string, banS?: number) =>
    call<{ seq: number | null }>("POST", `${at(game)}/kick`, {
      player,
      ...(banS === undefined ? {} : { ban_s: banS }),
    }),
  end: (game: string) => call<Record<string, never>>("DELETE", at(game)),
};
