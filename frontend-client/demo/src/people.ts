//! Owns the faces at the top: who is in the room, and whether their line holds.
//! Called by main.ts with the room's session.

import { $, h } from "../../shared/dom";
import { hueOf } from "./names";
import type { Session } from "./session";

/** More are only counted: nobody looks through so many, and each change draws all of them. */
const SHOWN = 200;

/** The colour is the seat's, the letter the name's. */
export function face(player: string, name = player): HTMLElement {
  const node = h("span", { class: "face", "aria-hidden": "true" }, [...name.replace(/^@/, "")][0] ?? "?");
  node.style.setProperty("--hue", String(hueOf(player)));
  return node;
}

export function showPeople(session: Session): void {
  const everyone = [...session.players].sort(
    ([a], [b]) => Number(b === session.player) - Number(a === session.player) || a.localeCompare(b),
  );
  const items = everyone.slice(0, SHOWN).map(([player, status]) => {
    const name = session.called(player);
    const words = [name, player === session.player && "you", status === "away" && "away, the seat is kept"]
      .filter(Boolean)
      .join(", ");
    return h(
      "li",
      { data: { player, status }, title: words },
      face(player, name),
      h("span", { class: "unseen" }, words),
      h("span", { class: "name", "aria-hidden": "true" }, name),
    );
  });
  const more = Math.max(session.count - items.length, 0);
  if (more > 0) items.push(h("li", { class: "more" }, `and ${more} more`));
  $("people").replaceChildren(...items);
}
