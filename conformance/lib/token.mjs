//! Owns the tokens that checks show (HS256).

import { createHmac } from "node:crypto";

export const SECRET = "conformance needs thirty-two bytes or more";

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token of these claims, which ends in ten minutes unless they say otherwise. */
export function token(claims) {
  const exp = Math.floor(Date.now() / 1000) + 600;
  const text = `${base64({ alg: "HS256", typ: "JWT" })}.${base64({ exp, ...claims })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}
