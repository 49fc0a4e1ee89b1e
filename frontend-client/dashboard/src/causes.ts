//! Owns the bars of refusals and disconnects, and the figures of the store and the queues.
//! Called by main.ts once a second.

import { $, h, say } from "../../shared/dom";
import { bytes, count, words } from "./format";
import type { Stats } from "./series";

export function showCauses(stats: Stats): void {
  bars($("refusals"), stats.refusals, "No connection was refused.");
  bars($("disconnects"), stats.disconnects, "No connection has ended.");
  const { store } = stats;
  facts($("store"), [
    ["store", store === null ? "in memory" : store.failing ? "failing" : "writing"],
    ["groups written", store ? count(store.groups) : "–"],
    ["batches", store ? count(store.batches) : "–"],
    ["bytes written", store ? bytes(store.bytes) : "–"],
    ["waiting for clients", `${bytes(stats.outbox_bytes)} in ${count(stats.outbox_frames)} frames`],
    ["open files", count(stats.open_files)],
    ["addresses", count(stats.addresses)],
    ["received, sent", `${bytes(stats.bytes_in)}, ${bytes(stats.bytes_out)}`],
  ]);
  $("store").dataset.failing = String(store?.failing ?? false);
}

function bars(list: HTMLElement, totals: Record<string, number>, none: string): void {
  const rows = Object.entries(totals)
    .filter(([, total]) => total > 0)
    .sort(([, a], [, b]) => b - a);
  if (rows.length === 0) {
    if (list.dataset.rows !== "0") list.replaceChildren(h("li", { class: "none" }, none));
    list.dataset.rows = "0";
    return;
  }
  const most = rows[0]![1];
  list.dataset.rows = String(rows.length);
  list.replaceChildren(
    ...rows.map(([name, total]) => {
      const bar = h("span", { class: "fill", "aria-hidden": "true" });
      bar.style.width = `${Math.max(1, (total / most) * 100)}%`;
      return h(
        "li",
        { data: { name } },
        h("span", { class: "name" }, words(name)),
        h("span", { class: "track", "aria-hidden": "true" }, bar),
        h("span", { class: "num" }, count(total)),
      );
    }),
  );
}

/** Pairs of a name and a value; only what differs is touched. */
export function facts(list: HTMLElement, rows: [name: string, value: string][]): void {
  if (list.childElementCount !== rows.length)
    list.replaceChildren(...rows.map(([name]) => h("div", null, h("dt", null, name), h("dd", { class: "num" }))));
  rows.forEach(([name, value], at) => {
    const row = list.children[at]!;
    say(row.firstElementChild!, name);
    say(row.lastElementChild!, value);
  });
}
