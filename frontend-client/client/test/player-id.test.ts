//! Owns the TypeScript half of tests/fixtures/player-ids.json: the ids that server and client make of issuers' names.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { playerId } from "../src/index.js";

const vectors: [string, string][] = JSON.parse(
  readFileSync(new URL("../../../tests/fixtures/player-ids.json", import.meta.url), "utf8"),
);

it("a11d an issuer's name becomes the id that the server makes of it", async () => {
  expect(vectors.length).toBeGreaterThan(10);
  for (const [value, id] of vectors) expect(await playerId(value), value).toBe(id);
});
