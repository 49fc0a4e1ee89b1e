//! Owns tic-tac-toe: watched by everybody in the room, played by the two who take a seat. The server's rules decide.
//! Called by main.ts with the room's session. The messages are in src/room/demo_table.rs and src/room/tic_tac_toe.rs.

import { $, h, icon, isObject, say } from "../../shared/dom";
import type { Session } from "./session";

const LINES = [
  [0, 1, 2],
  [3, 4, 5],
  [6, 7, 8],
  [0, 3, 6],
  [1, 4, 7],
  [2, 5, 8],
  [0, 4, 8],
  [2, 4, 6],
] as const;
const MARKS: Record<string, string> = { X: "M24 24L76 76M76 24L24 76", O: "M50 20a30 30 0 1 1 0 60a30 30 0 1 1 0-60" };

interface Play {
  board: (string | null)[];
  marks: Record<string, string>;
  turn: string;
  winner: string | null;
}

/** The state as the rules make it; a stranger's room may hold anything. */
function playOf(state: unknown): Play {
  const game = isObject(state) ? state : {},
    marks = isObject(game.marks) ? game.marks : {};
  return {
    board: Array.from({ length: 9 }, (_, cell) => {
      const mark: unknown = Array.isArray(game.board) ? game.board[cell] : null;
      return mark === "X" || mark === "O" ? mark : null;
    }),
    marks: Object.fromEntries(
      ["X", "O"].flatMap((mark) => (typeof marks[mark] === "string" ? [[mark, marks[mark] as string]] : [])),
    ),
    turn: game.turn === "O" ? "O" : "X",
    winner: typeof game.winner === "string" ? game.winner : null,
  };
}

export class Game {
  #session: Session | undefined;
  #cells: HTMLButtonElement[];

  constructor() {
    this.#cells = Array.from({ length: 9 }, (_, cell) =>
      h("button", { type: "button", data: { cell }, onclick: () => this.#send({ move: cell }) }),
    );
    $("cells").append(...this.#cells);
    $("sit").addEventListener("click", () => this.#change(!this.#seated));
    $("again").addEventListener("click", () => this.#send({ restart: true }));
    $("cells").addEventListener("keydown", (event) => this.#walk(event));
  }

  enter(session: Session): void {
    this.#session = session;
    say($("game-note"), "");
    for (const event of ["state", "presence", "status"] as const) session.on(event, () => this.#show(session));
    this.#show(session);
  }

  leave(): void {
    this.#session = undefined;
  }

  get #seated(): boolean {
    return (
      this.#session !== undefined && Object.values(playOf(this.#session.state).marks).includes(this.#session.player)
    );
  }

  #change(sit: boolean): void {
    const session = this.#session;
    say($("game-note"), "");
    session
      ?.send(sit ? { sit } : { stand: true })
      .catch((error: unknown) => say($("game-note"), session.explain(error)));
  }

  #send(data: Record<string, unknown>): void {
    const session = this.#session;
    if (!session) return;
    say($("game-note"), "");
    if (!this.#seated) {
      say($("game-note"), "You are watching. Take a seat to play.");
      return;
    }
    session.send(data).catch((error: unknown) => say($("game-note"), session.explain(error)));
  }

  #show(session: Session): void {
    if (session !== this.#session) return;
    const play = playOf(session.state),
      mine = ["X", "O"].find((mark) => play.marks[mark] === session.player);
    const won: readonly number[] =
      LINES.find(([a, b, c]) => play.board[a] && play.board[a] === play.board[b] && play.board[a] === play.board[c]) ??
      [];
    $("cells").dataset.mine = String(!play.winner && mine !== undefined && play.turn === mine);
    this.#cells.forEach((button, cell) => this.#cell(button, cell, play.board[cell] ?? "", won.includes(cell)));
    say($("turn"), turnOf(play, mine, session));
    say(
      $("seats"),
      ["X", "O"]
        .map(
          (mark) =>
            `${mark}: ${play.marks[mark] === undefined ? "free" : play.marks[mark] === session.player ? "you" : session.called(play.marks[mark])}`,
        )
        .join("  ·  "),
    );
    const full = !mine && Boolean(play.marks.X && play.marks.O),
      sit = $<HTMLButtonElement>("sit");
    say(sit, this.#seated ? "Give up the seat" : full ? "Both seats are taken" : "Take a seat");
    sit.disabled = (full && !this.#seated) || !session.online || !session.hasRules;
    sit.classList.toggle("primary", !this.#seated && !full);
    $("again").hidden = !play.winner || !mine;
  }

  #cell(button: HTMLButtonElement, cell: number, mark: string, won: boolean): void {
    button.setAttribute(
      "aria-label",
      `Row ${Math.floor(cell / 3) + 1}, column ${(cell % 3) + 1}: ${mark || "empty"}${won ? ", won" : ""}`,
    );
    button.dataset.won = String(won);
    if ((button.dataset.mark ?? "") === mark) return;
    button.replaceChildren();
    delete button.dataset.mark;
    if (!mark) return;
    button.dataset.mark = mark;
    button.append(icon(MARKS[mark]!, 100));
  }

  #walk(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -3, ArrowDown: 3 }[event.key];
    const at = this.#cells.indexOf(document.activeElement as HTMLButtonElement);
    if (!step || at < 0) return;
    event.preventDefault();
    this.#cells[at + step]?.focus();
  }
}

function turnOf({ marks, turn, winner }: Play, mine: string | undefined, session: Session): string {
  if (!session.online) return session.status === "closed" ? "The game is not connected." : "Connecting to the game…";
  if (!session.hasRules) return "This server has no rules for the game (GAME_LOGICS).";
  const called = (mark: string) => {
    const player = marks[mark];
    return player === undefined ? mark : session.called(player);
  };
  if (winner === "draw") return "A draw.";
  if (winner) return winner === mine ? "You won." : `${called(winner)} won.`;
  if (!marks.X || !marks.O)
    return mine
      ? "Waiting for a second player."
      : marks.X || marks.O
        ? `${called(marks.X ? "X" : "O")} waits for somebody to play with.`
        : "Two seats are free.";
  return turn === mine ? "Your turn." : mine ? `${called(turn)} is thinking.` : `${called(turn)} (${turn}) is to move.`;
}
