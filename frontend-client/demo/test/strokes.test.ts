//! Owns the tests of strokes: their form, their order without clocks, and the board's bounds.
//! Run by `npm test` in frontend-client.

import { expect, test } from "vitest";
import { authorOf, decode, encode, evict, nextKey, PIECE, read, simplify, type Drawn } from "../src/strokes";

test("points survive the wire", () => {
  const points = [10, 20, 15, 18, 15, 400, 1600, 1000];
  expect([...decode({ c: 1, w: 1, p: encode(points) })!.points]).toEqual(points);
});

test("rounding does not add up along a stroke", () => {
  const points = Array.from({ length: 200 }, (_, at) => at * 0.4);
  const decoded = decode({ c: 0, w: 0, p: encode(points) })!.points;
  for (const [at, value] of points.entries()) expect(Math.abs(decoded[at]! - value)).toBeLessThanOrEqual(0.5);
});

test("what a stranger calls a stroke is none unless it is one", () => {
  for (const value of [
    null,
    3,
    "x",
    [],
    {},
    { p: 3 },
    { p: [] },
    { p: [1] },
    { p: [1, 2, 3] },
    { p: ["1", "2"] },
    { p: [1, null] },
    { p: [1, Infinity] },
    { p: Array.from({ length: 2 * PIECE + 4 }, () => 1) },
  ])
    expect(decode(value)).toBeUndefined();
  expect(decode({ c: -1, w: 99.5, p: [1, 2] })!.stroke).toMatchObject({ c: 0, w: 0 });
  for (const state of [null, 3, [], { strokes: 3 }, { strokes: [] }]) expect(read(state, new Map())).toEqual([]);
});

test("a straight line keeps its ends, a corner stays", () => {
  expect(simplify([0, 0, 1, 0, 2, 0, 3, 0, 10, 0])).toEqual([0, 0, 10, 0]);
  expect(simplify([0, 0, 5, 0, 10, 0, 10, 5, 10, 10])).toEqual([0, 0, 10, 0, 10, 10]);
  expect(simplify([3, 4])).toEqual([3, 4]);
});

test("keys sort in the order of drawing, never meet, and name their author", () => {
  const keys: string[] = [];
  for (let n = 0; n < 2000; n += 1) keys.push(nextKey(keys.slice(-1), n % 2 ? "a.b" : "z"));
  expect([...keys].sort()).toEqual(keys);
  expect(nextKey(keys, "x")).not.toBe(nextKey(keys, "y"));
  expect(authorOf(keys[1]!)).toBe("a.b");
  expect(nextKey(["zzzzzz.mallory", "nonsense", ""], "me")).toBe("000001.me");
});

test("the oldest strokes go, as few as needed, and a board with room keeps all", () => {
  const drawn = (count: number, bytes: number): Drawn[] =>
    Array.from({ length: count }, (_, at) => ({
      key: nextKey([`${at.toString(36).padStart(6, "0")}.x`], "x"),
      bytes,
      stroke: { c: 0, w: 0, p: [] },
      points: new Float32Array(),
    }));
  expect(evict(drawn(599, 10), 10)).toEqual([]);
  expect(evict(drawn(600, 10), 10)).toEqual(["000001.x"]);
  expect(evict(drawn(160, 1000), 1000)).toEqual(["000001.x"]);
  expect(evict(drawn(160, 1000), 2500)).toEqual(["000001.x", "000002.x", "000003.x"]);
});
