//! Owns names: what the server takes as an id, friendly random ones, and the colour that belongs to a name.
//! Called by door.ts, people.ts, chat.ts and the board.

const FIRST = [
  "quiet",
  "merry",
  "early",
  "late",
  "brave",
  "sleepy",
  "sunny",
  "misty",
  "lucky",
  "gentle",
  "swift",
  "amber",
];
const LAST = ["otter", "heron", "badger", "finch", "hare", "fox", "wren", "lynx", "marten", "robin", "beaver", "owl"];
const PLACES = ["table", "corner", "hearth", "cellar", "attic", "garden", "stable", "bench", "window", "porch"];

const pick = (words: readonly string[]) => words[Math.floor(Math.random() * words.length)]!;
const number = () => Math.floor(Math.random() * 90 + 10);

export const randomName = () => `${pick(FIRST)}-${pick(LAST)}-${number()}`;
export const randomRoom = () => `${pick(FIRST)}-${pick(PLACES)}-${Math.floor(Math.random() * 9000 + 1000)}`;

/** Rooms with this prefix have the demo's rules on the server (src/room/demo_table.rs): one room, and one connection, for everything. */
export const RULES = "demo-table-";
/** P1. A room leaves some of the 64 characters to `RULES`. */
export const isName = (text: string, longest = 64) =>
  text.length <= longest && /^[A-Za-z0-9][A-Za-z0-9._~-]*$/.test(text);
export const ROOM_LENGTH = 52;

/** What no name may have (S11): control characters, and those that turn the direction of text. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
export const nameOf = (text: string) => [...text.normalize("NFC").replace(UNSEEN, "").trim()].slice(0, 64).join("");

/** The seat that belongs to a name: the name itself where it is an id, else its bytes, those that an id cannot have as `~` and two digits. */
export function idOf(name: string): string {
  if (isName(name)) return name;
  const bytes = [...new TextEncoder().encode(name)];
  const id = bytes
    .map((byte, at) => {
      const char = String.fromCharCode(byte);
      return (at === 0 ? /[A-Za-z0-9]/ : /[A-Za-z0-9._-]/).test(char)
        ? char
        : `~${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
  // An id begins with a letter or digit, and is not longer than 64.
  return `p${id}`.slice(0, 64).replace(/~[0-9A-F]?$/, "");
}

function hash(name: string): number {
  let value = 7;
  for (const char of name) value = (value * 31 + char.codePointAt(0)!) >>> 0;
  return value;
}

/** 0 to 359, the same on every page. */
export const hueOf = (name: string) => hash(name) % 360;

/** The pen that a player begins with. */
export const penOf = (name: string, pens: number) => (hash(name) >>> 3) % pens;
