//! Owns the tests of the ledger: it sees what is lost and what comes twice, and sees nothing where nothing is.
//! Run by `npm test` in frontend-client.

import { expect, test } from "vitest";
import { Ledger } from "../src/ledger";

const fresh = (seq = 0) => {
  const ledger = new Ledger();
  ledger.welcome("new", seq);
  return ledger;
};

test("events in order with gaps in seq (private events of others) are neither lost nor doubled", () => {
  const ledger = fresh(10);
  [
    [11, 1],
    [13, 2],
    [20, 3],
  ].forEach(([seq, place]) => ledger.event(seq!, "alice", ["run", place]));
  expect([ledger.seq, ledger.lost, ledger.doubled]).toEqual([20, 0, 0]);
});

test("a hole in a sender's count is lost, whatever seq says", () => {
  const ledger = fresh();
  ledger.event(1, "alice", ["run", 1]);
  ledger.event(2, "bob", ["other", 7]);
  ledger.event(3, "alice", ["run", 4]);
  expect(ledger.lost).toBe(2);
});

test("an event that comes again is doubled, under its seq or under a new one", () => {
  const ledger = fresh();
  ledger.event(1, "alice", ["run", 1]);
  ledger.event(1, "alice", ["run", 1]);
  ledger.event(2, "alice", ["run", 1]);
  expect([ledger.lost, ledger.doubled]).toEqual([0, 2]);
});

test("a new run of a sender and a resume that is continuous begin no count of losses", () => {
  const ledger = fresh();
  ledger.event(1, "alice", ["run", 9]);
  ledger.welcome("continuous", 5);
  ledger.event(2, "alice", ["run", 10]);
  ledger.event(3, "alice", ["next", 1]);
  expect([ledger.lost, ledger.doubled]).toEqual([0, 0]);
});

test("what a welcome says is gone counts as lost, and the counts behind it begin anew", () => {
  const ledger = fresh();
  ledger.event(5, "alice", ["run", 1]);
  ledger.welcome("snapshot", 5, [6, 9]);
  ledger.event(10, "alice", ["run", 6]);
  expect([ledger.seq, ledger.lost, ledger.doubled]).toEqual([10, 4, 0]);
  ledger.welcome("reset", 2);
  ledger.event(3, "alice", ["run", 7]);
  expect([ledger.seq, ledger.lost, ledger.doubled]).toEqual([3, 4, 0]);
});

test("marks that are none count for nothing", () => {
  const ledger = fresh();
  for (const [at, mark] of [undefined, null, [], ["x"], ["x", "y"], [1, 2], ["x", 1.5], { 0: "x", 1: 2 }].entries())
    ledger.event(at + 1, "mallory", mark);
  expect([ledger.lost, ledger.doubled]).toEqual([0, 0]);
});
