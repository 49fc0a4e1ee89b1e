//! Owns names: what the server takes as an id, friendly random ones, and the colour that belongs to a name.
//! Called by door.ts, people.ts, chat.ts and the board.

const FIRST = ["quiet", "merry", "early", "late", "brave", "sleepy", "sunny", "misty", "lucky", "gentle", "swift", "amber"];
const LAST = ["otter", "heron", "badger", "finch", "hare", "fox", "wren", "lynx", "marten", "robin", "beaver", "owl"];
const PLACES = ["table", "corner", "hearth", "cellar", "attic", "garden", "stable", "bench", "window", "porch"];

const pick = (words: readonly string[]) => words[Math.floor(Math.random() * words.length)]!;
const number = () => Math.floor(Math.random() * 90 + 10);

export const randomName = () => `${pick(FIRST)}-${pick(LAST)}-${number()}`;
export const randomRoom = () => `${pick(FIRST)}-${pick(PLACES)}-${Math.floor(Math.random() * 9000 + 1000)}`;

/** P1. A room leaves 12 of the 64 characters to `tic-tac-toe-`. */
export const isName = (text: string, longest = 64) => text.length <= longest && /^[A-Za-z0-9][A-Za-z0-9._~-]*$/.test(text);
export const ROOM_LENGTH = 52;

function hash(name: string): number {
  let value = 7;
  for (const char of name) value = (value * 31 + char.codePointAt(0)!) >>> 0;
  return value;
}

/** 0 to 359, the same on every page. */
export const hueOf = (name: string) => hash(name) % 360;

/** The pen that a player begins with. */
export const penOf = (name: string, pens: number) => (hash(name) >>> 3) % pens;
