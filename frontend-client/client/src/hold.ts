//! Owns events that nobody takes yet: handlers may be added a while after `join()`, in an effect of a page, and miss nothing.
//! Used by `room`.

import type { Emitter } from "./emitter.js";

/** What is held at most; past it everything is let go, and nothing is held any more. */
const MAX_EVENTS = 500;
const MAX_UNITS = 1_000_000;

export interface Hold<Events> {
  /** Hands it on, or keeps it until somebody takes it. `data` is what it holds of its own: its text counts. */
  tell<K extends keyof Events>(event: K, value: Events[K], data?: unknown): void;
  /** A handler was added: what waits for it follows behind this turn, when the others of the turn are there, too. */
  added(event: keyof Events): void;
}

/** Until `last` has a handler, events without one are held, in their order. */
export function createHold<Events>({ emit, has }: Emitter<Events>, last: keyof Events): Hold<Events> {
  let held: { event: keyof Events; units: number; deliver: () => void }[] | undefined = [];
  let units = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function release(): void {
    timer = undefined;
    const all = held ?? [];
    // Whoever takes the messages is ready: what nobody takes now, nobody wants.
    const isOver = has(last);
    held = isOver ? undefined : all.filter(({ event }) => !has(event));
    units = (held ?? []).reduce((sum, { units }) => sum + units, 0);
    for (const { event, deliver } of all) if (isOver || has(event)) deliver();
  }

  return {
    tell(event, value, data) {
      const wanted = has(event);
      if (!held || (wanted && timer === undefined)) return emit(event, value);
      const size = data === undefined ? 0 : JSON.stringify(data).length;
      held.push({ event, units: size, deliver: () => emit(event, value) });
      units += size;
      if (held.length <= MAX_EVENTS && units <= MAX_UNITS) return;
      clearTimeout(timer);
      timer = undefined;
      const all = held;
      held = undefined;
      for (const { deliver } of all) deliver();
    },
    added(event) {
      if (held && (event === last || held.some((waiting) => waiting.event === event))) timer ??= setTimeout(release, 0);
    },
  };
}
