//! Owns the faces at the top: who is in the room, and whether their line holds.
//! Called by main.ts with the room's session.

import { $, h } from "../../shared/dom";
import { hueOf } from "./names";
import type { Session } from "./session";

const SHOWN = 12;

export function face(name: string): HTMLElement {
  const node = h("span", { class: "face", "aria-hidden": "true" }, [...name.replace(/^@/, "")][0] ?? "?");
  node.style.setProperty("--hue", String(hueOf(name)));
  return node;
}

export function showPeople(session: Session): void {
  const everyone = [...session.players].sort(([a], [b]) => Number(b === session.player) - Number(a === session.player) || a.localeCompare(b));
  const items = everyone.slice(0, SHOWN).map(([name, status]) => {
    const words = [name, name === session.player && "you", status === "away" && "away, the seat is kept"].filter(Boolean).join(", ");
    return h("li", { data: { player: name, status }, title: words }, face(name), h("span", { class: "unseen" }, words),
      h("span", { class: "name", "aria-hidden": "true" }, name));
  });
  const more = Math.max(session.count - items.length, 0);
  if (more > 0) items.push(h("li", { class: "more" }, `and ${more} more`));
  $("people").replaceChildren(...items);
}
