//! Owns the two canvases of the board: finished strokes below, what is being drawn above. Knows nothing of the room.
//! Called by board.ts.

import { HEIGHT, PENS, WIDTH, WIDTHS } from "./strokes";

export interface Line {
  c: number;
  w: number;
  points: ArrayLike<number>;
  alpha: number;
}

export class Sheet {
  #colours: string[] = [];
  #ink: CanvasRenderingContext2D;
  #live: CanvasRenderingContext2D;
  #dirty = new Set<CanvasRenderingContext2D>();
  #lines = new Map<CanvasRenderingContext2D, () => Iterable<Line>>();

  constructor(
    ink: HTMLCanvasElement,
    live: HTMLCanvasElement,
    lines: { ink(): Iterable<Line>; live(): Iterable<Line> },
  ) {
    this.#ink = ink.getContext("2d")!;
    this.#live = live.getContext("2d")!;
    this.#lines.set(this.#ink, lines.ink).set(this.#live, lines.live);
    new ResizeObserver(() => this.#fit()).observe(live);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#fit());
    this.#fit();
  }

  repaintInk(): void {
    this.#repaint(this.#ink);
  }
  repaintLive(): void {
    this.#repaint(this.#live);
  }

  /** The colours are the style sheet's, light and dark, so that a stroke keeps its pen and not its colour. */
  #fit(): void {
    const style = getComputedStyle(this.#live.canvas);
    this.#colours = Array.from({ length: PENS }, (_, pen) => style.getPropertyValue(`--pen-${pen}`).trim());
    for (const { canvas } of [this.#ink, this.#live]) {
      const width = Math.round(canvas.clientWidth * devicePixelRatio),
        height = Math.round(canvas.clientHeight * devicePixelRatio);
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    }
    this.repaintInk();
    this.repaintLive();
  }

  #repaint(context: CanvasRenderingContext2D): void {
    if (this.#dirty.has(context)) return;
    this.#dirty.add(context);
    requestAnimationFrame(() => {
      this.#dirty.delete(context);
      this.#paint(context, this.#lines.get(context)!());
    });
  }

  #paint(context: CanvasRenderingContext2D, lines: Iterable<Line>): void {
    const { canvas } = context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(canvas.width / WIDTH, 0, 0, canvas.height / HEIGHT, 0, 0);
    context.lineCap = context.lineJoin = "round";
    for (const { c, w, points, alpha } of lines) {
      context.globalAlpha = alpha;
      context.strokeStyle = this.#colours[c] ?? "gray";
      context.lineWidth = WIDTHS[w] ?? WIDTHS[0];
      context.beginPath();
      trace(context, points);
      context.stroke();
    }
  }
}

/** Through the middles of the pieces, bent at their ends: smooth however few points there are. */
function trace(context: CanvasRenderingContext2D, points: ArrayLike<number>): void {
  const last = points.length - 2;
  context.moveTo(points[0]!, points[1]!);
  if (last === 0) context.lineTo(points[0]! + 0.1, points[1]!);
  for (let at = 2; at < last; at += 2) {
    const x = points[at]!,
      y = points[at + 1]!;
    context.quadraticCurveTo(x, y, (x + points[at + 2]!) / 2, (y + points[at + 3]!) / 2);
  }
  if (last > 0) context.lineTo(points[last]!, points[last + 1]!);
}
