//! Owns the tests' chance: dice that fall the same way again for the same seed (`SEED=7 npx vitest run`).
//! Used by tests that try anything.

import { randomInt } from "node:crypto";

/** `roll(n)` gives 0 to n-1. The seed belongs in the message of every assertion. */
export function dice(): { seed: number; roll: (n: number) => number } {
  const seed = Number(process.env.SEED ?? randomInt(2 ** 32));
  let state = seed;
  const roll = (n: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  return { seed, roll };
}
