//! Owns the tests of the series: rates from totals, percentiles from buckets, gaps where nothing is known.
//! Run by `npm test` in frontend-client.

import { expect, test } from "vitest";
import { percentile, Series, type Stats } from "../src/series";

const stats = (second: number, more: Partial<Stats> = {}): Stats => ({
  time: 1_000_000 + second * 1000,
  uptime_ms: second * 1000,
  version: "0",
  connections: 1,
  sessions: 1,
  rooms: 1,
  addresses: 1,
  events_in: second * 10,
  events_out: second * 40,
  bytes_in: 0,
  bytes_out: 0,
  latency: {
    count: second * 100,
    buckets: [
      [0.001, second * 50],
      [0.002, second * 98],
      [0.004, second * 100],
      [null, second * 100],
    ],
  },
  memory_bytes: 5,
  cpu_seconds: second * 0.25,
  open_files: 0,
  outbox_bytes: 0,
  outbox_frames: 0,
  store: null,
  refusals: {},
  disconnects: {},
  ...more,
});

test("percentiles lie within their bucket, by how far into it the share falls", () => {
  const now = stats(1).latency;
  expect(percentile(undefined, now, 0.25)).toBeCloseTo(0.0005);
  expect(percentile(undefined, now, 0.5)).toBeCloseTo(0.001);
  expect(percentile(undefined, now, 0.99)).toBeCloseTo(0.003);
  expect(percentile(now, now, 0.5)).toBeNull();
  expect(
    percentile(
      undefined,
      {
        count: 2,
        buckets: [
          [0.001, 0],
          [null, 2],
        ],
      },
      0.99,
    ),
  ).toBe(0.001);
});

test("rates come from two values, per second of the server's own clock", () => {
  const series = new Series();
  series.add(stats(1));
  expect(series.last("in")).toBeNull();
  series.add(stats(3));
  expect([series.last("in"), series.last("out"), series.last("cpu"), series.last("p50")]).toEqual([10, 40, 25, 1]);
});

test("a restarted server begins anew: no negative rates", () => {
  const series = new Series();
  series.add(stats(100));
  series.add(stats(101));
  series.add(stats(1, { time: 1_103_000 }));
  expect(series.last("in")).toBeNull();
  series.add(stats(2, { time: 1_104_000 }));
  expect(series.last("in")).toBe(10);
});

test("a pause is a gap in the line, and only the last minutes are kept", () => {
  const series = new Series();
  series.add(stats(1));
  series.add(stats(60));
  expect(series.columns.connections).toEqual([1, null, 1]);
  for (let second = 61; second < 1000; second += 1) series.add(stats(second));
  expect(series.time.length).toBe(300);
  expect(series.columns.cpu.length).toBe(300);
});
