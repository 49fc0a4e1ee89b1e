//! Owns the table of rooms: fetched again and again while it is looked at, filtered, sorted, opened.
//! Called by main.ts.

import { $, say } from "../../shared/dom";
import { api, ApiError, type Row } from "./api";
import { age, bytes, count } from "./format";
import { Grid, type Column } from "./grid";

const COLUMNS: Column<Row>[] = [
  { id: "game", title: "Room", shown: ({ game }) => game, by: ({ game }) => game },
  {
    id: "players",
    title: "Players",
    number: true,
    shown: ({ players, connected }) =>
      connected === players ? count(players) : `${count(connected)} of ${count(players)}`,
    by: ({ players }) => players,
  },
  {
    id: "spectators",
    title: "Watching",
    number: true,
    shown: ({ spectators }) => count(spectators),
    by: ({ spectators }) => spectators,
  },
  { id: "seq", title: "Seq", number: true, shown: ({ seq }) => seq.toLocaleString("en"), by: ({ seq }) => seq },
  { id: "bytes", title: "Size", number: true, shown: (row) => bytes(row.bytes), by: (row) => row.bytes },
  { id: "age", title: "Age", number: true, shown: ({ age_ms }) => age(age_ms), by: ({ age_ms }) => age_ms },
  { id: "logic", title: "Logic", shown: ({ logic }) => logic, by: ({ logic }) => logic },
  { id: "durability", title: "Durability", shown: ({ durability }) => durability, by: ({ durability }) => durability },
];
/** A list of 10,000 rooms is 2 MB: it is asked for less often. */
const SOON_MS = 3000,
  LATER_MS = 12_000,
  MANY = 1500;

export class Rooms {
  #rows: Row[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #busy = false;
  #open = false;
  #grid = new Grid<Row>(
    $("grid"),
    "Rooms",
    COLUMNS,
    ({ game }) => game,
    ({ game }) => this.chosen(game),
    () => this.#show(),
  );

  constructor(
    private readonly chosen: (game: string) => void,
    private readonly refused: (error: ApiError) => void,
  ) {
    $("rooms-filter").addEventListener("input", () => this.#show());
    $("rooms-refresh").addEventListener("click", () => void this.refresh());
    document.addEventListener("visibilitychange", () => {
      if (this.#open && document.visibilityState === "visible") void this.refresh();
    });
  }

  start(): void {
    this.#open = true;
    void this.refresh();
  }

  stop(): void {
    this.#open = false;
    clearTimeout(this.#timer);
    this.#rows = [];
  }

  async refresh(): Promise<void> {
    if (this.#busy || !this.#open) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    try {
      this.#rows = await api.rooms();
      this.#show();
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) this.refused(error);
      else say($("rooms-count"), error instanceof Error ? error.message : String(error));
    }
    this.#busy = false;
    if (this.#open && document.visibilityState === "visible")
      this.#timer = setTimeout(() => void this.refresh(), this.#rows.length > MANY ? LATER_MS : SOON_MS);
  }

  #show(): void {
    const text = $<HTMLInputElement>("rooms-filter").value.trim().toLowerCase();
    const rows = text
      ? this.#rows.filter(({ game, logic }) => game.toLowerCase().includes(text) || logic.includes(text))
      : this.#rows;
    say(
      $("rooms-count"),
      text
        ? `${rows.length.toLocaleString("en")} of ${this.#rows.length.toLocaleString("en")}`
        : `${rows.length.toLocaleString("en")} open`,
    );
    this.#grid.show(rows, text ? "No room fits the filter." : "No room is open.");
  }
}
