//! Owns the strokes in the room's state: their form, their order, what is evicted so that the board stays within bounds.
//! Called by board.ts. The state is `{"strokes":{key: Stroke}}`; everything in it may come from a stranger and is checked.

import { isObject } from "../../shared/dom";
import type { Mark } from "./ledger";

/** The board's own units; every page scales them to its size. */
export const WIDTH = 1600,
  HEIGHT = 1000;
export const PENS = 8;
export const WIDTHS = [5, 10, 22] as const;
/** A stroke is cut into pieces of at most this many points: the live preview of a piece stays below 1.5 kB. */
export const PIECE = 110;
/** Of 256 kB (MAX_STATE_BYTES), of which the chat has up to 48 kB: several people drawing at once may each go a little over before they see one another. */
const MAX_BYTES = 160_000,
  MAX_STROKES = 600;

/** `p` is [x, y, dx, dy, …] in whole units, `c` a pen, `w` an index into WIDTHS. */
export interface Stroke {
  c: number;
  w: number;
  p: number[];
  i?: Mark;
}
export interface Drawn {
  key: string;
  stroke: Stroke;
  bytes: number;
  points: Float32Array;
}

export function decode(value: unknown): { stroke: Stroke; points: Float32Array } | undefined {
  if (!isObject(value) || !Array.isArray(value.p)) return undefined;
  const { c, w, p } = value as unknown as Stroke;
  if (p.length < 2 || p.length % 2 || p.length > 2 * PIECE + 2 || !p.every(Number.isFinite)) return undefined;
  const points = new Float32Array(p.length);
  for (let at = 0; at < p.length; at += 1) points[at] = at < 2 ? p[at]! : points[at - 2]! + p[at]!;
  return { stroke: { c: index(c, PENS), w: index(w, WIDTHS.length), p }, points };
}

const index = (value: unknown, size: number) =>
  Number.isInteger(value) && (value as number) >= 0 ? (value as number) % size : 0;

export function encode(points: readonly number[]): number[] {
  return points.map((value, at) => Math.round(value) - (at < 2 ? 0 : Math.round(points[at - 2]!)));
}

/** Drops points that lie on the line between their neighbours within `tolerance` units (Ramer, Douglas, Peucker). */
export function simplify(points: readonly number[], tolerance = 0.9): number[] {
  const last = points.length / 2 - 1;
  if (last < 2) return [...points];
  const keep = new Uint8Array(last + 1),
    spans: [number, number][] = [[0, last]];
  keep[0] = keep[last] = 1;
  for (let span = spans.pop(); span; span = spans.pop()) {
    const [from, to] = span;
    let farthest = 0,
      at = 0;
    for (let middle = from + 1; middle < to; middle += 1) {
      const far = distance(points, from, to, middle);
      if (far > farthest) [farthest, at] = [far, middle];
    }
    if (farthest > tolerance) {
      keep[at] = 1;
      spans.push([from, at], [at, to]);
    }
  }
  return points.filter((_, at) => keep[at >> 1]);
}

function distance(points: readonly number[], from: number, to: number, middle: number): number {
  const [ax, ay, bx, by, x, y] = [
    points[2 * from]!,
    points[2 * from + 1]!,
    points[2 * to]!,
    points[2 * to + 1]!,
    points[2 * middle]!,
    points[2 * middle + 1]!,
  ];
  const length = Math.hypot(bx - ax, by - ay);
  return length === 0 ? Math.hypot(x - ax, y - ay) : Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length;
}

/** The strokes of a state document in the order in which they lie on the board; what is no stroke is left out. */
export function read(state: unknown, known: ReadonlyMap<string, Drawn>): Drawn[] {
  const strokes = isObject(state) && isObject(state.strokes) ? state.strokes : {};
  const drawn: Drawn[] = [];
  for (const key of Object.keys(strokes).sort()) {
    const before = known.get(key);
    if (before) {
      drawn.push(before);
      continue;
    }
    const value = decode(strokes[key]);
    if (value) drawn.push({ key, bytes: JSON.stringify(strokes[key]).length + key.length + 6, ...value });
  }
  return drawn;
}

/**
 * Keys sort in the order of drawing without anybody's clock: one more than the highest number seen, then the name, so
 * that two people who draw at once never choose the same key.
 */
export function nextKey(keys: Iterable<string>, player: string): string {
  let highest = 0;
  for (const key of keys) highest = Math.max(highest, numberOf(key));
  return `${(highest + 1).toString(36).padStart(6, "0")}.${player}`;
}

function numberOf(key: string): number {
  const number = /^[0-9a-z]{6}\./.test(key) ? Number.parseInt(key.slice(0, 6), 36) : 0;
  return Number.isFinite(number) && number < 36 ** 6 - 1 ? number : 0;
}

export const authorOf = (key: string) => key.slice(key.indexOf(".") + 1);

/** The oldest keys that must go before `bytes` more fit. */
export function evict(drawn: readonly Drawn[], bytes: number): string[] {
  let total = bytes + drawn.reduce((sum, each) => sum + each.bytes, 0),
    count = drawn.length + 1;
  const gone: string[] = [];
  for (const each of drawn) {
    if (total <= MAX_BYTES && count <= MAX_STROKES) break;
    total -= each.bytes;
    count -= 1;
    gone.push(each.key);
  }
  return gone;
}
