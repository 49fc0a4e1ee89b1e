//! Owns RFC 7396 (JSON Merge Patch), as the server folds a room's state.
//! Called by rooms for every patch.

import type { Json } from "./types.js";

/**
 * The target with the patch merged in. Neither is changed; what the patch does not touch is shared, so that a changed
 * part can be told by its identity.
 */
export function merge(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  // Through a Map and `fromEntries`: assigning would take a key `__proto__` for the prototype.
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, merge(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
