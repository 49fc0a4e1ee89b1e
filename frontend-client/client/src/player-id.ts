//! Owns how an account's id at an issuer becomes a player's id (A11d), as the server makes it of a token's claim.
//! Exported by `index`; the vectors are in tests/fixtures/player-ids.json.

import { InnkeeperError } from "./error.js";

/** A player may begin with `~`, where an issuer's name for it has another character. */
export const PLAYER = /^[A-Za-z0-9~][A-Za-z0-9._~-]{0,63}$/;
/** Taken as they are, these would be the ids of other values. */
const ESCAPED = /~[0-9A-F]{2}|^~H[0-9a-f]{40}$/;
const MAX_CHARS = 64;
const HASH_BYTES = 20;

/**
 * The player whom this value of a token's claim names: `auth0|5f` is `auth0~7C5f`. Values that would be longer than an id
 * are hashed, for which a browser wants a page from https or localhost.
 */
export async function playerId(value: string): Promise<string> {
  if (PLAYER.test(value) && !ESCAPED.test(value)) return value;
  const bytes = new TextEncoder().encode(value);
  const hex = (byte: number) => byte.toString(16).padStart(2, "0");
  const id = Array.from(bytes, (byte, at) => {
    const char = String.fromCharCode(byte);
    return (at === 0 ? /[A-Za-z0-9]/ : /[A-Za-z0-9._-]/).test(char) ? char : `~${hex(byte).toUpperCase()}`;
  }).join("");
  if (id.length <= MAX_CHARS) return id;
  const { subtle } = globalThis.crypto ?? {};
  if (!subtle) throw new InnkeeperError("no_crypto", "this page cannot hash: it did not come from https or localhost");
  const hash = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return `~H${Array.from(hash.subarray(0, HASH_BYTES), hex).join("")}`;
}
