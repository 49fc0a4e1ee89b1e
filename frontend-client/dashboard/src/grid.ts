//! Owns a table of which only the rows in sight exist: 10,000 rows cost as much as 30. Sorted by its heads, walked by keys.
//! Called by rooms.ts.

import { h, say } from "../../shared/dom";

export interface Column<T> {
  id: string;
  title: string;
  number?: boolean;
  shown(row: T): string;
  by(row: T): string | number;
}

const ROW = 38,
  SPARE = 6;

export class Grid<T> {
  #rows: T[] = [];
  #sorted: { id: string; down: boolean } = { id: "", down: false };
  #active = 0;
  #nodes = new Map<number, HTMLElement>();
  #heads: HTMLElement[];
  #body = h("div", { class: "body", role: "rowgroup" });
  #inner = h("div", { class: "inner", role: "presentation" });
  #none = h("p", { class: "none", hidden: true });
  #due = false;

  constructor(
    box: HTMLElement,
    label: string,
    private readonly columns: Column<T>[],
    private readonly keyOf: (row: T) => string,
    private readonly chosen: (row: T) => void,
    private readonly resorted: () => void,
  ) {
    this.#heads = columns.map(({ id, title, number }) =>
      h(
        "div",
        { role: "columnheader", class: number ? "number" : "", data: { column: id }, "aria-sort": "none" },
        h("button", { type: "button", class: "quiet", onclick: () => this.#sort(id) }, title),
      ),
    );
    box.append(
      h(
        "div",
        { class: "table", role: "grid", "aria-label": label, "aria-rowcount": 1 },
        h(
          "div",
          { class: "head", role: "rowgroup" },
          h("div", { class: "tr", role: "row", "aria-rowindex": 1 }, ...this.#heads),
        ),
        this.#body,
      ),
      this.#none,
    );
    this.#body.append(this.#inner);
    this.#body.addEventListener("scroll", () => this.#later(), { passive: true });
    this.#body.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(this.#body);
  }

  /** Puts rows in the chosen order; the caller filters them before. */
  show(rows: T[], none: string): void {
    const column = this.columns.find(({ id }) => id === this.#sorted.id),
      key = this.#rows[this.#active] && this.keyOf(this.#rows[this.#active]!);
    this.#rows = column ? sorted(rows, column.by, this.#sorted.down) : rows;
    // The row under the keys stays the same one, wherever it went.
    const same = key === undefined ? -1 : this.#rows.findIndex((row) => this.keyOf(row) === key);
    this.#active = same >= 0 ? same : Math.min(this.#active, Math.max(0, this.#rows.length - 1));
    this.#inner.style.height = `${this.#rows.length * ROW}px`;
    this.#body.parentElement!.setAttribute("aria-rowcount", String(this.#rows.length + 1));
    say(this.#none, none);
    this.#none.hidden = this.#rows.length > 0;
    this.#draw();
  }

  #sort(id: string): void {
    const number = this.columns.find((column) => column.id === id)?.number ?? false;
    this.#sorted = { id, down: this.#sorted.id === id ? !this.#sorted.down : number };
    this.#heads.forEach((head) =>
      head.setAttribute(
        "aria-sort",
        head.dataset.column !== id ? "none" : this.#sorted.down ? "descending" : "ascending",
      ),
    );
    this.#body.scrollTop = 0;
    this.#active = 0;
    this.#rows = [];
    this.resorted();
  }

  #later(): void {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { scrollTop, clientHeight } = this.#body;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - SPARE),
      last = Math.min(this.#rows.length, Math.ceil((scrollTop + clientHeight) / ROW) + SPARE);
    const free: HTMLElement[] = [];
    for (const [at, node] of this.#nodes) {
      if (at >= first && at < last) continue;
      // The row that has the focus stays, or the keys would have nowhere to go.
      if (at === this.#active && at < this.#rows.length && node === document.activeElement) continue;
      this.#nodes.delete(at);
      free.push(node);
    }
    for (let at = first; at < last; at += 1) {
      let node = this.#nodes.get(at);
      if (!node) {
        node = free.pop() ?? this.#row();
        this.#nodes.set(at, node);
      }
      this.#fill(node, at);
    }
    free.forEach((node) => node.remove());
  }

  #row(): HTMLElement {
    const node = h(
      "div",
      { class: "tr", role: "row" },
      ...this.columns.map(({ id, number }) =>
        h("div", { role: "gridcell", class: number ? "number num" : "", data: { column: id } }),
      ),
    );
    node.addEventListener("click", () => {
      this.#active = Number(node.dataset.at);
      this.#draw();
      this.#open();
    });
    this.#inner.append(node);
    return node;
  }

  #fill(node: HTMLElement, at: number): void {
    const row = this.#rows[at]!;
    node.style.transform = `translateY(${at * ROW}px)`;
    node.dataset.at = String(at);
    node.dataset.key = this.keyOf(row);
    node.tabIndex = at === this.#active ? 0 : -1;
    node.setAttribute("aria-rowindex", String(at + 2));
    this.columns.forEach((column, cell) => say(node.children[cell]!, column.shown(row)));
  }

  #open(): void {
    const row = this.#rows[this.#active];
    if (row) this.chosen(row);
  }

  #key(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.#body.clientHeight / ROW) - 1),
      last = this.#rows.length - 1;
    const to = {
      ArrowDown: this.#active + 1,
      ArrowUp: this.#active - 1,
      PageDown: this.#active + page,
      PageUp: this.#active - page,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Enter" || event.key === " ") this.#open();
    else if (to === undefined) return;
    else this.#go(Math.min(last, Math.max(0, to)));
    event.preventDefault();
  }

  #go(at: number): void {
    this.#active = at;
    const top = at * ROW,
      { scrollTop, clientHeight } = this.#body;
    if (top < scrollTop) this.#body.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.#body.scrollTop = top + ROW - clientHeight;
    this.#draw();
    this.#nodes.get(at)?.focus({ preventScroll: true });
  }
}

/** Each key is computed once, not once per comparison. */
function sorted<T>(rows: T[], by: (row: T) => string | number, down: boolean): T[] {
  const sign = down ? -1 : 1;
  return rows
    .map((row) => ({ row, key: by(row) }))
    .sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0))
    .map(({ row }) => row);
}
