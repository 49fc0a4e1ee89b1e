//! Owns the test of the suite itself: its checks pass on a server that keeps to the contract and fail, by name, on one that lies.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { CLAUSES, NOT_BUILT, UNOBSERVABLE } from "../clauses.mjs";
import { LIES, liar } from "./liar.mjs";

const here = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

const run = (...args) => node(here("run.mjs"), ...args);

const node = (...args) =>
  new Promise((resolve) => {
    execFile(process.execPath, args, (error, out) => resolve({ code: error?.code ?? 0, out }));
  });

/** Checks that the little server can answer, by the words that name them. */
const NAMES = [
  "a player is welcomed first",
  "members see the same events",
  "an id that was applied",
  "who was cut resumes",
];

/** The checks that fail for a lie, each by its place in `NAMES`. */
const FOUND = {
  nothing: [],
  doubles: [1],
  drops: [1, 3],
  reorders: [1],
  "applies-twice": [2],
  "deaf-pings": [0, 2],
  "false-continuous": [3],
};

for (const lie of LIES) {
  test(`a server that lies by "${lie}" fails what that breaks and nothing else`, async () => {
    const server = await liar(lie);
    try {
      const args = NAMES.flatMap((name) => ["--check", name]);
      const { code, out } = await run(server.url, "--json", "--patience", "1500", ...args);
      const failed = JSON.parse(out)
        .checks.filter(({ verdict }) => verdict === "fail")
        .map(({ check }) => NAMES.findIndex((name) => check.startsWith(name)));
      assert.deepEqual(failed.sort(), FOUND[lie]);
      assert.equal(code, FOUND[lie].length ? 1 : 0);
    } finally {
      server.stop();
    }
  });
}

test("a client that does not come back fails what asks for it and nothing else", async () => {
  const { code, out } = await node(
    here("client.mjs"),
    "--client",
    `${process.execPath} ${here("test/naive.mjs")}`,
    "--json",
    "--patience",
    "1200",
  );
  const failed = JSON.parse(out)
    .checks.filter(({ verdict }) => verdict === "fail")
    .map(({ check }) => check);
  const expected = [
    "after a cut",
    "a server that cannot be reached",
    "a deploy",
    "after close",
    "a reset",
    "an event that the server shows twice",
  ];
  for (const words of expected)
    assert.ok(
      failed.some((check) => check.startsWith(words)),
      words,
    );
  assert.ok(
    failed.every((check) => expected.some((words) => check.startsWith(words))),
    failed.join("\n"),
  );
  assert.equal(code, 1);
});

test("every clause has one place in the table", () => {
  assert.equal(new Set(CLAUSES).size, CLAUSES.length);
  for (const id of [...NOT_BUILT, ...Object.keys(UNOBSERVABLE)]) assert.ok(CLAUSES.includes(id), id);
});

test("wrong arguments exit with 2", async () => {
  for (const args of [[], ["--nonsense"], ["http://a", "http://b"], ["http://a", "--only", "Z99"]])
    assert.equal((await run(...args)).code, 2, args.join(" "));
});
