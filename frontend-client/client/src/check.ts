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
  return Number.isSafeInteger(value) && value >= least
    ? value
    : refuse(name, `an integer from ${least} to 2^53-1`, value);
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
  return bytes > 0 && bytes <= NAME_BYTES
    ? name
    : refuse("a volatile value's name", `a text of 1 to ${NAME_BYTES} bytes`, name);
}

/** How deep a frame's brackets may nest (P2), its own included. */
const MAX_DEPTH = 127;

function isTooDeep(text: string): boolean {
  // Nearly always so few brackets that it does not matter how they nest.
  if (text.split(/[[{]/).length <= MAX_DEPTH + 1) return false;
  let depth = 0;
  for (const [bracket] of text.replace(/"(\\.|[^"\\])*"/g, "").matchAll(/[[{}\]]/g)) {
    depth += bracket === "[" || bracket === "{" ? 1 : -1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** `JSON.stringify` escapes a surrogate only where its other half is missing; the server refuses such a text (N2). */
const LONE_SURROGATE = /(?<!\\)(\\\\)*\\ud[89a-f]/;

/** Throws where the server would refuse this text with an answer that names no `id`. */
export function passable(text: string): void {
  if (LONE_SURROGATE.test(text)) throw new InnkeeperError("bad_json", "a text holds half of a surrogate pair");
  if (isTooDeep(text)) throw new InnkeeperError("too_deep", `JSON may nest ${MAX_DEPTH} deep`);
}
