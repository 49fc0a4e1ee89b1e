//! Owns the bound on what a page downloads: under 9.5 kB gzipped, and nothing else with it.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

it("the built library is under 9.5 kB gzipped and imports nothing", () => {
  const built = read("../dist/index.js");
  expect(gzipSync(built, { level: 9 }).length).toBeLessThan(9_500);
  expect(built).not.toMatch(/\bimport\b/);
  expect(JSON.parse(read("../package.json")).dependencies).toBeUndefined();
});
