//! Owns the shared board: what is drawn goes out as volatile previews while it is new and as patches when it is done.
//! Called by main.ts with the room's session.

import { $, h, isObject, say } from "../../shared/dom";
import { Cursors } from "./cursors";
import { penOf } from "./names";
import { type Line, Sheet } from "./paint";
import { listen } from "./pen";
import type { Session } from "./session";
import {
  PENS,
  PIECE,
  WIDTHS,
  authorOf,
  decode,
  encode,
  evict,
  nextKey,
  read,
  simplify,
  type Drawn,
  type Stroke,
} from "./strokes";

const PEN_NAMES = ["ink", "red", "orange", "green", "teal", "blue", "violet", "pink"];
const WIDTH_NAMES = ["thin", "middle", "thick"];
/** About 30 a second: half of it is below what an eye sees, twice of it is a third of MESSAGE_RATE. */
const TICK_MS = 33;
const PREVIEW_MS = 4000;
const OFFLINE_ALPHA = 0.4;

interface Piece {
  key: string;
  group: string;
  points: number[];
}

export class Board {
  #session: Session | undefined;
  #drawn: Drawn[] = [];
  #known = new Map<string, Drawn>();
  #pending = new Map<string, Drawn>();
  #previews = new Map<string, { key: string; line: Line; at: number }>();
  #piece: Piece | undefined;
  #hand: [number, number] | null = null;
  #told = true;
  #pen = 0;
  #width = 1;
  #sheet: Sheet;
  #cursors = new Cursors($("cursors"));

  constructor() {
    this.#sheet = new Sheet($("ink"), $("live"), { ink: () => this.#inkLines(), live: () => this.#liveLines() });
    listen($("live"), {
      moved: (x, y) => this.#moved(x, y),
      down: (x, y) => this.#down(x, y),
      up: () => this.#up(),
      away: () => {
        this.#hand = null;
        this.#told = false;
      },
      said: (text) => say($("board-said"), text),
    });
    this.#tools();
    setInterval(() => this.#tick(), TICK_MS);
  }

  enter(session: Session): void {
    this.#session = session;
    this.#drawn = [];
    this.#pending.clear();
    this.#previews.clear();
    this.#cursors.clear();
    this.#piece = undefined;
    this.#choose("pens", (this.#pen = penOf(session.player, PENS)));
    session.on("state", () => this.#changed());
    session.on("presence", ({ player, status }) => {
      if (status === "away" || status === "left") this.#goneHand(player);
    });
    session.on("volatile", ({ from, name, data }) => {
      if (name === "hand" && from !== session.player) this.#heard(from, data);
    });
    this.#changed();
  }

  leave(): void {
    this.#session = undefined;
  }

  #changed(): void {
    this.#drawn = read(this.#session?.state, this.#known);
    this.#known = new Map(this.#drawn.map((each) => [each.key, each]));
    for (const key of this.#pending.keys()) if (this.#known.has(key)) this.#pending.delete(key);
    for (const [who, { key }] of this.#previews) if (this.#known.has(key)) this.#previews.delete(who);
    this.#repaint();
  }

  #repaint(): void {
    $("sheet").dataset.strokes = String(this.#drawn.length);
    $("sheet").dataset.pending = String(this.#pending.size);
    $("hint").hidden = this.#drawn.length + this.#pending.size > 0 || this.#piece !== undefined;
    this.#sheet.repaintInk();
    this.#sheet.repaintLive();
  }

  *#inkLines(): Iterable<Line> {
    for (const { stroke, points } of this.#drawn) yield { ...stroke, points, alpha: 1 };
  }

  *#liveLines(): Iterable<Line> {
    for (const { stroke, points } of this.#pending.values()) yield { ...stroke, points, alpha: OFFLINE_ALPHA };
    for (const { line } of this.#previews.values()) yield line;
    if (this.#piece) yield { c: this.#pen, w: this.#width, points: this.#piece.points, alpha: 1 };
  }

  #down(x: number, y: number): void {
    if (!this.#session) return;
    const key = this.#nextKey();
    this.#piece = { key, group: key, points: [x, y] };
    this.#hand = [x, y];
    this.#told = false;
    this.#repaint();
  }

  #moved(x: number, y: number): void {
    this.#hand = [x, y];
    this.#told = false;
    const piece = this.#piece;
    if (!piece) return;
    const { points } = piece;
    if (Math.hypot(x - points.at(-2)!, y - points.at(-1)!) < 2) return;
    points.push(x, y);
    if (points.length >= 2 * PIECE) {
      this.#commit(piece);
      this.#piece = { key: this.#nextKey(), group: piece.group, points: [x, y] };
    }
    this.#sheet.repaintLive();
  }

  #up(): void {
    const piece = this.#piece;
    this.#piece = undefined;
    this.#told = false;
    if (piece) this.#commit(piece);
  }

  #nextKey(): string {
    const keys = [...this.#known.keys(), ...this.#pending.keys()];
    if (this.#piece) keys.push(this.#piece.key);
    return nextKey(keys, this.#session!.player);
  }

  #commit({ key, group, points }: Piece): void {
    const session = this.#session;
    if (!session) return;
    const stroke: Stroke & { g: string } = { c: this.#pen, w: this.#width, p: encode(simplify(points)), g: group };
    const bytes = JSON.stringify(stroke).length + key.length + 40;
    const strokes: Record<string, unknown> = {};
    for (const old of evict([...this.#drawn, ...this.#pending.values()], bytes)) strokes[old] = null;
    const value = decode(stroke);
    if (value) this.#pending.set(key, { key, bytes, ...value });
    this.#repaint();
    session
      .patchMarked((mark) => ({ strokes: { ...strokes, [key]: { ...stroke, i: mark } } }))
      .catch((error: unknown) => {
        this.#pending.delete(key);
        this.#repaint();
        this.#complain(error);
      });
  }

  #undo(): void {
    const session = this.#session;
    if (!session) return;
    const mine = [...this.#known.keys(), ...this.#pending.keys()]
      .sort()
      .filter((key) => authorOf(key) === session.player);
    const last = mine.at(-1);
    if (!last) {
      say($("board-said"), "There is nothing of yours to undo.");
      return;
    }
    const group = this.#groupOf(last);
    const strokes = Object.fromEntries(
      mine.filter((key) => key === last || (group && this.#groupOf(key) === group)).map((key) => [key, null]),
    );
    session.patch({ strokes }).catch((error: unknown) => this.#complain(error));
  }

  #groupOf(key: string): unknown {
    const strokes = isObject(this.#session?.state) ? this.#session.state.strokes : undefined;
    const stroke = isObject(strokes) ? strokes[key] : undefined;
    return isObject(stroke) ? stroke.g : undefined;
  }

  #tick(): void {
    const now = performance.now();
    for (const [who, { at }] of this.#previews) {
      if (now - at > PREVIEW_MS) {
        this.#previews.delete(who);
        this.#sheet.repaintLive();
      }
    }
    if (this.#told || !this.#session?.online) return;
    this.#told = true;
    const piece = this.#piece && { k: this.#piece.key, c: this.#pen, w: this.#width, p: encode(this.#piece.points) };
    this.#session.volatile(
      "hand",
      this.#hand ? { x: Math.round(this.#hand[0]), y: Math.round(this.#hand[1]), s: piece } : {},
    );
  }

  #heard(from: string, data: unknown): void {
    if (!isObject(data) || !Number.isFinite(data.x) || !Number.isFinite(data.y)) {
      this.#goneHand(from);
      return;
    }
    this.#cursors.move(from, this.#session?.called(from) ?? from, data.x as number, data.y as number);
    const value = decode(data.s);
    if (value && isObject(data.s) && typeof data.s.k === "string") {
      if (!this.#known.has(data.s.k))
        this.#previews.set(from, {
          key: data.s.k,
          line: { ...value.stroke, points: value.points, alpha: 1 },
          at: performance.now(),
        });
      this.#sheet.repaintLive();
    }
  }

  /** The preview stays a little: its patch may still be under way. */
  #goneHand(who: string): void {
    this.#cursors.remove(who);
  }

  #complain(error: unknown): void {
    say($("board-said"), this.#session?.explain(error) ?? "");
    $("board-said").classList.remove("unseen");
  }

  #tools(): void {
    const radios = (id: string, names: readonly string[], choose: (index: number) => void) => {
      $(id).append(
        ...names.map((name, value) =>
          h(
            "label",
            { title: name },
            h("input", { type: "radio", name: id, value, "aria-label": name, onchange: () => choose(value) }),
            h("span", { class: `${id}-${value}`, "aria-hidden": "true" }),
          ),
        ),
      );
    };
    radios("pens", PEN_NAMES, (pen) => {
      this.#pen = pen;
    });
    radios("widths", WIDTH_NAMES.slice(0, WIDTHS.length), (width) => {
      this.#width = width;
    });
    this.#choose("widths", this.#width);
    $("undo").addEventListener("click", () => this.#undo());
    const dialog = $<HTMLDialogElement>("ask-clear");
    $("clear").addEventListener("click", () => {
      if (this.#drawn.length + this.#pending.size === 0) {
        say($("board-said"), "The board is empty.");
        return;
      }
      dialog.returnValue = "";
      dialog.showModal();
    });
    // It takes away what others have drawn, too, and nothing brings that back.
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "clear")
        this.#session?.patch({ strokes: null }).catch((error: unknown) => this.#complain(error));
    });
  }

  #choose(id: string, value: number): void {
    const input = $(id).querySelector<HTMLInputElement>(`input[value="${value}"]`);
    if (input) input.checked = true;
  }
}
