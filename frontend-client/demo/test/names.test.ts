//! Owns the proofs of what becomes of the name that a person types.

import { expect, it } from "vitest";
import { idOf, isName, nameOf } from "../src/names";

it("a name that can be a seat's is one, any other has a seat of its own", () => {
  expect(idOf("alice")).toBe("alice");
  expect(idOf("Bob 🐺")).toBe("pBob~20~F0~9F~90~BA");
  const names = ["Bob", "Bob 🐺", "bob 🐺", "Ünal", "~x", "名前", "🐺".repeat(64), "-", "a/b"];
  const ids = names.map(idOf);
  expect(ids.every((id) => isName(id))).toBe(true);
  expect(new Set(ids).size).toBe(names.length);
});

it("what nobody sees is left out of a name", () => {
  expect(nameOf("  e\u0301va\u202e\u0007 ")).toBe("éva");
  expect([...nameOf("👩‍👩‍👧 ".repeat(40))].length).toBeLessThanOrEqual(64);
});
