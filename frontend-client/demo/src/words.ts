//! Owns what this page says to people: why the line ended, what a refusal means, what to do about it.
//! Called by session.ts, main.ts and game.ts.

const ENDS: Record<number, string> = {
  1000: "You left the room.",
  1001: "The server went away.",
  1006: "The line was lost.",
  1008: "The server refused this connection because of one of its limits.",
  1009: "A message was too big for the server.",
  1011: "The room had an internal error.",
  1012: "The server is restarting.",
  1013: "The server is overloaded.",
  4000: "Your seat was taken over by another tab of yours.",
  4001: "This server wants a token, and none arrived in time.",
  4002: "Somebody with this name is in the room already. Pick another name.",
  4003: "The server did not accept the token.",
  4004: "There is no such room, or it was closed.",
  4005: "The token has expired.",
  4008: "This page could not keep up with the room.",
  4009: "No sign of life came through.",
  4010: "You were asked to leave the room.",
  4029: "This page sent too many messages a second.",
};

const CODES: Record<string, string> = {
  invalid_origin:
    "The server does not take connections from this page's address. Its operator can add it to ALLOWED_ORIGINS.",
  connection_limit:
    "The server takes no more connections from here at the moment. Close another tab, or try again later.",
  rate_limit: "Too many attempts from your address in a short time. Wait a minute, then try again.",
  draining: "The server is restarting. Try again in a moment.",
  disabled: "The server takes no connections at the moment: its operator has switched them off.",
  auth_timeout: ENDS[4001]!,
  unavailable: "The server cannot store anything at the moment. Nothing is lost; try again shortly.",
  state_too_large: "The board is full. Clear it, or undo some strokes.",
  conflict: "Somebody else changed this at the same time.",
  illegal_move: "That move is not allowed.",
};

/**
 * For a person: what happened and, in brackets, what to search the documents for. `message` is the server's own wording,
 * which is shown where this page has none, or where it names a limit that this page cannot know.
 */
export function inWords(code: string, closeCode: number | undefined, message: string): string {
  const words = CODES[code] ?? (closeCode === undefined ? undefined : ENDS[closeCode]),
    name = CODES[code] ? code : (closeCode ?? code);
  const said = message && !message.startsWith("connection closed") ? message : "";
  if (!words) return said ? `${sentence(said)} (${name})` : `The connection ended. (${name})`;
  // The server's words name what this page cannot know: the setting, its value, when to try again.
  return `${words}${said && !OURS.has(code) ? ` The server says: ${sentence(said)}` : ""} (${name})`;
}

/** Of the client library: these say what no server said. */
const OURS = new Set([
  "connection_lost",
  "connect_timeout",
  "heartbeat_timeout",
  "offline",
  "blocked",
  "token",
  "left",
  "overflow",
  "expired",
  "stale",
  "unconfirmed",
  "bad_url",
]);
const sentence = (text: string) => `${text[0]!.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
