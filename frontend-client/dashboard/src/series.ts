//! Owns the time series: rates and percentiles from the differences of what the server counts, for the last minutes.
//! Called by main.ts with each value of the topic `stats`; charts.ts draws the columns.

/** The topic `stats`, once a second; totals only grow while one process lives. */
export interface Stats {
  time: number;
  uptime_ms: number;
  version: string;
  connections: number;
  sessions: number;
  rooms: number;
  addresses: number;
  events_in: number;
  events_out: number;
  bytes_in: number;
  bytes_out: number;
  latency: { count: number; buckets: [upper_seconds: number | null, cumulative: number][] };
  memory_bytes: number;
  cpu_seconds: number;
  open_files: number;
  outbox_bytes: number;
  outbox_frames: number;
  store: { failing: boolean; groups: number; batches: number; bytes: number } | null;
  refusals: Record<string, number>;
  disconnects: Record<string, number>;
  /** Read by flows.ts; a server may send neither. */
  hubs?: unknown;
  proxies?: unknown;
}

export const COLUMNS = ["connections", "sessions", "rooms", "in", "out", "p50", "p99", "memory", "cpu"] as const;
export type Column = (typeof COLUMNS)[number];

const KEPT = 300;

/**
 * The `share` (0 to 1) of what came between two readings of a cumulative histogram, in seconds; interpolated within its
 * bucket. `null` when nothing came. What lies in the open last bucket counts as its lower bound: more is not known.
 */
export function percentile(before: Stats["latency"] | undefined, now: Stats["latency"], share: number): number | null {
  const earlier = new Map(before?.buckets.map(([upper, total]) => [upper, total]));
  const total = now.count - (before?.count ?? 0);
  if (total <= 0) return null;
  const wanted = total * share;
  let lower = 0,
    below = 0;
  for (const [upper, cumulative] of now.buckets) {
    const here = cumulative - (earlier.get(upper) ?? 0);
    if (here >= wanted)
      return upper === null ? lower : lower + (upper - lower) * (here > below ? (wanted - below) / (here - below) : 1);
    [lower, below] = [upper ?? lower, here];
  }
  return lower;
}

export class Series {
  readonly time: number[] = [];
  readonly columns = Object.fromEntries(COLUMNS.map((name) => [name, []])) as unknown as Record<
    Column,
    (number | null)[]
  >;
  #before: Stats | undefined;

  add(now: Stats): void {
    // Totals that shrink belong to another process: there is nothing to take a difference from.
    const before = this.#before && now.uptime_ms > this.#before.uptime_ms ? this.#before : undefined;
    const seconds = before ? (now.time - before.time) / 1000 : 0;
    if (before && seconds <= 0) return;
    const rate = (total: (stats: Stats) => number) => (before ? (total(now) - total(before)) / seconds : null);
    const part = (share: number) => {
      const value = before ? percentile(before.latency, now.latency, share) : null;
      return value === null ? null : value * 1000;
    };
    const cpu = rate((stats) => stats.cpu_seconds);
    this.#push(now.time / 1000, {
      connections: now.connections,
      sessions: now.sessions,
      rooms: now.rooms,
      in: rate((stats) => stats.events_in),
      out: rate((stats) => stats.events_out),
      p50: part(0.5),
      p99: part(0.99),
      memory: now.memory_bytes,
      cpu: cpu === null ? null : cpu * 100,
    });
    this.#before = now;
  }

  /** The newest value, and `null` while there is none. */
  last(name: Column): number | null {
    return this.columns[name].at(-1) ?? null;
  }

  /** A second without a value is a gap in the line, not a straight line over it. */
  #push(at: number, row: Record<Column, number | null>): void {
    const last = this.time.at(-1);
    if (last !== undefined && at - last > 5) this.#append(last + 1, undefined);
    this.#append(at, row);
  }

  #append(at: number, row: Record<Column, number | null> | undefined): void {
    this.time.push(at);
    if (this.time.length > KEPT) this.time.shift();
    for (const name of COLUMNS) {
      this.columns[name].push(row?.[name] ?? null);
      if (this.columns[name].length > KEPT) this.columns[name].shift();
    }
  }
}
