//! Owns the tables of hubs and of proxies: a row per name, touched where it differs; a section only where there are rows.
//! Called by main.ts with each value of the topic `stats`.

import { $, h, icon, say } from "../../shared/dom";
import { alarm, Flows, summary, type HubRow, type ProxyRow, type State } from "./flows";
import { age, bytes, count, rate } from "./format";
import type { Stats } from "./series";

interface Column<T> {
  id: string;
  title: string;
  words?: boolean;
  shown(row: T): string;
}
interface Row {
  name: string;
  state: State | "";
  word: string;
  needy?: boolean;
}

const known = (value: number | null, shown: (value: number) => string) => (value === null ? "–" : shown(value));
const ago = (ms: number) => (ms < 1000 ? "now" : `${age(ms)} ago`);

const HUBS: Column<HubRow>[] = [
  { id: "provider", title: "Provider", words: true, shown: ({ provider }) => provider },
  { id: "state", title: "State", words: true, shown: ({ word }) => word },
  { id: "clients", title: "Clients", shown: ({ clients }) => count(clients) },
  { id: "topics", title: "Topics", shown: ({ topics }) => count(topics) },
  { id: "upstreams", title: "Upstream", shown: ({ upstreams }) => count(upstreams) },
  { id: "attempts", title: "Attempts", shown: ({ attempts }) => count(attempts) },
  { id: "age", title: "Last message", shown: ({ idleMs }) => known(idleMs, ago) },
  { id: "rate", title: "Messages/s", shown: ({ perSecond }) => known(perSecond, rate) },
  { id: "gaps", title: "Gaps", shown: ({ gaps }) => count(gaps) },
];
const PROXIES: Column<ProxyRow>[] = [
  { id: "state", title: "State", words: true, shown: ({ word }) => word },
  { id: "sessions", title: "Sessions", shown: ({ sessions }) => count(sessions) },
  { id: "so-far", title: "So far", shown: ({ sessionsSoFar }) => count(sessionsSoFar) },
  { id: "in", title: "In per second", shown: ({ inPerSecond }) => known(inPerSecond, bytes) },
  { id: "out", title: "Out per second", shown: ({ outPerSecond }) => known(outPerSecond, bytes) },
  { id: "budget", title: "Over budget", shown: ({ budgetCloses }) => count(budgetCloses) },
];

/** A shape for each state: whoever cannot tell the colours apart can tell these. */
const MARKS: Record<State, string> = {
  live: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18z",
  on: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18z",
  stale: "M12 2L23 21H1z",
  down: "M3 6l3-3l6 6l6-6l3 3l-6 6l6 6l-3 3l-6-6l-6 6l-3-3l6-6z",
  connecting: "M1 10h5v5H1zM9.5 10h5v5h-5zM18 10h5v5h-5z",
  idle: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18zM12 6.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11z",
  off: "M3 10h18v4H3z",
};

class Table<T extends Row> {
  #body = h("tbody", { role: "rowgroup" });
  #nodes = new Map<string, HTMLTableRowElement>();

  // A phone shows rows as blocks (feeds.css), and some browsers take such an element for no table: hence the roles.
  constructor(
    private readonly id: string,
    caption: string,
    first: string,
    private readonly columns: Column<T>[],
  ) {
    const heads = [first, ...columns.map(({ title }) => title)].map((title, at) =>
      h("th", { scope: "col", role: "columnheader", class: at > 0 && !columns[at - 1]!.words ? "number" : "" }, title),
    );
    $(`${id}-table`).append(
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...heads)),
      this.#body,
    );
  }

  show(rows: T[]): void {
    $(this.id).hidden = rows.length === 0;
    say($(`${this.id}-count`), summary(rows));
    const nodes = rows.map((row) => this.#fill(row));
    if (nodes.length !== this.#body.childElementCount || nodes.some((node, at) => this.#body.children[at] !== node))
      this.#body.replaceChildren(...nodes);
    this.#nodes = new Map(rows.map(({ name }, at) => [name, nodes[at]!]));
  }

  #fill(row: T): HTMLTableRowElement {
    const node = this.#nodes.get(row.name) ?? this.#row(row.name);
    node.dataset.needy = String(row.needy ?? false);
    this.columns.forEach((column, at) => say(node.children[at + 1]!.lastElementChild!, column.shown(row)));
    if (node.dataset.state !== row.state) {
      node.dataset.state = row.state;
      node.querySelector(".mark")!.replaceChildren(...(row.state ? [icon(MARKS[row.state])] : []));
    }
    return node;
  }

  #row(name: string): HTMLTableRowElement {
    return h(
      "tr",
      { role: "row", data: { name } },
      h("th", { scope: "row", role: "rowheader" }, name),
      ...this.columns.map(({ id, title, words }) =>
        h(
          "td",
          { role: "cell", class: words ? "" : "number num", data: { column: id, title } },
          id === "state" ? h("span", { class: "mark" }) : null,
          h("span"),
        ),
      ),
    );
  }
}

export class Feeds {
  #flows = new Flows();
  #hubs = new Table("hubs", "Hubs: state of the upstream, who listens, and what comes", "Hub", HUBS);
  #proxies = new Table("proxies", "Proxies: sessions, and what passes through", "Proxy", PROXIES);

  show(stats: Stats): void {
    const { hubs, proxies } = this.#flows.add(stats);
    this.#hubs.show(hubs);
    this.#proxies.show(proxies);
    say($("hubs-alarm"), alarm(hubs));
  }
}
