//! Owns a room's state as a tree that opens and closes; what is open stays open when the state changes.
//! Called by room.ts.

import { h, isObject } from "../../shared/dom";

/** More children than this are shown in steps: a state may hold 64 MB. */
const STEP = 100;

export class Tree {
  #open = new Set<string>(["$"]);
  #more = new Map<string, number>();
  #text = "";
  #value: unknown;

  constructor(private readonly box: HTMLElement) {}

  show(value: unknown): void {
    const text = JSON.stringify(value) ?? "";
    if (text === this.#text) return;
    this.#text = text;
    this.#value = value;
    this.#draw();
  }

  reset(): void {
    this.#open = new Set(["$"]);
    this.#more.clear();
    this.#text = "";
    this.box.replaceChildren();
  }

  #draw(): void {
    const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("[data-path]")?.dataset.path;
    this.box.replaceChildren(this.#node("$", "state", this.#value));
    if (focused !== undefined)
      [...this.box.querySelectorAll<HTMLElement>("[data-path]")]
        .find((node) => node.dataset.path === focused)
        ?.querySelector("summary")
        ?.focus();
  }

  #node(path: string, name: string, value: unknown): HTMLElement {
    const entries = Array.isArray(value)
      ? value.map((each, at) => [String(at), each] as const)
      : isObject(value)
        ? Object.entries(value)
        : undefined;
    if (!entries)
      return h(
        "div",
        { class: "leaf" },
        h("span", { class: "key" }, name),
        ": ",
        h("span", { class: `value ${value === null ? "null" : typeof value}` }, JSON.stringify(value) ?? "undefined"),
      );
    const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
    const details = h(
      "details",
      { data: { path } },
      h("summary", null, h("span", { class: "key" }, name), " ", h("span", { class: "size" }, size)),
    );
    const fill = () => {
      const shown = this.#more.get(path) ?? STEP;
      details.append(...entries.slice(0, shown).map(([key, each]) => this.#node(`${path}/${key}`, key, each)));
      if (entries.length > shown)
        details.append(
          h(
            "button",
            {
              type: "button",
              class: "quiet",
              onclick: () => {
                this.#more.set(path, shown + STEP);
                this.#draw();
              },
            },
            `${entries.length - shown} more`,
          ),
        );
    };
    // Filled when it is opened: a big state costs what is looked at.
    if (this.#open.has(path)) {
      details.open = true;
      fill();
    }
    details.addEventListener("toggle", () => {
      if (details.open === this.#open.has(path)) return;
      if (details.open) {
        this.#open.add(path);
        fill();
      } else {
        this.#open.delete(path);
        [...details.children].slice(1).forEach((child) => child.remove());
      }
    });
    return details;
  }
}
