//! Owns the proof that the state is folded as RFC 7396 says.

import { describe, expect, it } from "vitest";
import { merge, type Json } from "../src/index.js";
import { dice } from "./dice.js";

// RFC 7396, appendix A.
const EXAMPLES: [Json, Json, Json][] = [
  [{ a: "b" }, { a: "c" }, { a: "c" }],
  [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
  [{ a: "b" }, { a: null }, {}],
  [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
  [{ a: ["b"] }, { a: "c" }, { a: "c" }],
  [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
  [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
  [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
  [
    ["a", "b"],
    ["c", "d"],
    ["c", "d"],
  ],
  [{ a: "b" }, ["c"], ["c"]],
  [{ a: "foo" }, null, null],
  [{ a: "foo" }, "bar", "bar"],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: "b", c: null }, { a: "b" }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

function value(roll: (n: number) => number, depth: number): Json {
  const kind = roll(depth > 0 ? 8 : 4);
  if (kind < 4) return [null, roll(3), "x", [roll(2)]][kind] as Json;
  const keys = ["a", "b", "c", "__proto__", "constructor"].filter(() => roll(2) === 0);
  return Object.fromEntries(keys.map((key) => [key, value(roll, depth - 1)]));
}

const isObject = (json: unknown): json is { [key: string]: Json } =>
  typeof json === "object" && json !== null && !Array.isArray(json);

/** The RFC's own pseudo code, on pairs instead of objects. */
function model(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  let pairs: [string, Json][] = isObject(target) ? Object.entries(target) : [];
  for (const [name, change] of Object.entries(patch)) {
    const old = pairs.find(([key]) => key === name)?.[1];
    pairs = pairs.filter(([key]) => key !== name);
    if (change !== null) pairs.push([name, model(old, change)]);
  }
  return Object.fromEntries(pairs);
}

describe("RFC 7396", () => {
  it.each(EXAMPLES)("merges %j with %j to %j", (target, patch, result) => {
    expect(merge(target, patch)).toEqual(result);
  });

  it("agrees with the RFC's pseudo code on anything, and changes nothing in place", () => {
    const { seed, roll } = dice();
    for (let round = 0; round < 3_000; round++) {
      const [target, patch] = [value(roll, 3), value(roll, 3)];
      const before = JSON.stringify([target, patch]);
      const result = merge(target, patch);
      expect(result, `seed ${seed} round ${round} ${before}`).toEqual(model(target, patch));
      expect(JSON.stringify([target, patch])).toBe(before);
      // What is merged once is not changed by being merged again.
      expect(merge(result, patch)).toEqual(result);
    }
  });

  it("takes __proto__ for a key like any other", () => {
    const merged = merge({}, JSON.parse('{"__proto__":{"polluted":true}}')) as object;
    expect(JSON.stringify(merged)).toBe('{"__proto__":{"polluted":true}}');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
  });

  it("shares what the patch does not touch", () => {
    const target = { a: { b: 1 }, c: {} };
    const merged = merge(target, { c: { d: 1 } }) as typeof target;
    expect(merged.a).toBe(target.a);
    expect(merged.c).not.toBe(target.c);
  });
});
