//! Owns the checks of what an application passes in: a number that is none would fail far from its cause.
//! Used by `connect`, rooms and feeds.

import { InnkeeperError } from "./error.js";

/** Timers take no more, and would end at once. */
const MAX_MS = 2 ** 31 - 1;

function refuse(name: string, what: string, value: unknown): never {
  throw new InnkeeperError("invalid_argument", `${name} is ${what}, not ${String(value)}`);
}

/** A count, an `id` or a `seq`. */
export function whole(name: string, value: number, least = 0): number {
  return Number.isSafeInteger(value) && value >= least ? value : refuse(name, `an integer from ${least} to 2^53-1`, value);
}

/** Milliseconds. */
export function duration(name: string, value: number): number {
  return value >= 0 && value <= MAX_MS ? value : refuse(name, `a number of ms from 0 to ${MAX_MS}`, value);
}

export function rate(name: string, value: number): number {
  return value > 0 && value < Infinity ? value : refuse(name, "a positive number", value);
}

/** The longest name of a volatile value, in bytes. */
const NAME_BYTES = 64;

export function volatileName(name: string): string {
  const bytes = typeof name === "string" ? new TextEncoder().encode(name).length : 0;
  return bytes > 0 && bytes <= NAME_BYTES ? name : refuse("a volatile value's name", `a text of 1 to ${NAME_BYTES} bytes`, name);
}
