//! Owns the hand on the board: pointer or keyboard, in the board's units.
//! Called by board.ts, which decides what a movement means.

import { HEIGHT, WIDTH } from "./strokes";

export interface Hand {
  moved(x: number, y: number): void;
  down(x: number, y: number): void;
  up(): void;
  away(): void;
  said(text: string): void;
}

const STEP = 20,
  FAR = 100;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const within = (value: number, size: number) => Math.min(size, Math.max(0, value));

export function listen(canvas: HTMLCanvasElement, hand: Hand): void {
  pointer(canvas, hand);
  keyboard(canvas, hand);
}

function pointer(canvas: HTMLCanvasElement, hand: Hand): void {
  let drawing: number | undefined;
  const at = (event: PointerEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [
      within(((event.clientX - box.left) / box.width) * WIDTH, WIDTH),
      within(((event.clientY - box.top) / box.height) * HEIGHT, HEIGHT),
    ];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (drawing !== undefined || event.button !== 0) return;
    drawing = event.pointerId;
    canvas.setPointerCapture(drawing);
    hand.down(...at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drawing !== undefined && event.pointerId !== drawing) return;
    // A fast hand makes more points than the screen has frames.
    const events = drawing === undefined ? [event] : (event.getCoalescedEvents?.() ?? [event]);
    for (const each of events.length ? events : [event]) hand.moved(...at(each));
  });
  const end = (event: PointerEvent) => {
    if (event.pointerId !== drawing) return;
    drawing = undefined;
    hand.up();
    if (event.pointerType !== "mouse") hand.away();
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => {
    if (drawing === undefined) hand.away();
  });
}

function keyboard(canvas: HTMLCanvasElement, hand: Hand): void {
  let x = WIDTH / 2,
    y = HEIGHT / 2,
    down = false;
  const lift = () => {
    if (!down) return;
    down = false;
    hand.up();
    hand.said("Pen lifted.");
  };
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = event.shiftKey ? FAR : STEP;
      [x, y] = [within(x + arrow[0] * step, WIDTH), within(y + arrow[1] * step, HEIGHT)];
      hand.moved(x, y);
    } else if (event.key === " ") {
      if (down) lift();
      else {
        down = true;
        hand.down(x, y);
        hand.said("Pen down.");
      }
    } else if (event.key === "Escape") lift();
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => {
    lift();
    hand.away();
  });
}
