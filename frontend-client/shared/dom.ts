//! Owns the few helpers with which both pages touch the document; text only ever enters it as text.
//! Called by the modules of demo/ and dashboard/.

export type Child = Node | string | number | null | undefined | false;
export type Props = Record<string, unknown>;

/** The element with this id; the pages' own markup has it, so its absence is a mistake in the page. */
export function $<T extends Element = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as unknown as T;
}

/**
 * A new element. `class` and `data` are as named, `on…` functions are listeners, true and false are attributes without
 * a value, everything else is an attribute. No `style`: the pages' Content-Security-Policy forbids the attribute.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props | null = null,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) set(node, key, value);
  for (const child of children)
    if (child !== null && child !== undefined && child !== false)
      node.append(typeof child === "number" ? String(child) : child);
  return node;
}

function set(node: HTMLElement, key: string, value: unknown): void {
  if (value === undefined || value === null) return;
  if (key === "class") node.className = String(value);
  else if (key === "data") Object.assign(node.dataset, value);
  else if (key.startsWith("on") && typeof value === "function")
    node.addEventListener(key.slice(2), value as EventListener);
  else if (typeof value === "boolean" && !key.startsWith("aria-")) node.toggleAttribute(key, value);
  else node.setAttribute(key, String(value));
}

const SVG = "http://www.w3.org/2000/svg";

/** A small picture from path data, hidden from screen readers: a text beside it says the same. */
export function icon(path: string, box = 24): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg"),
    line = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", `0 0 ${box} ${box}`);
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** Changes text only where it differs: screen readers and selections are left alone by what stays the same. */
export function say(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** `sessionStorage` that may be forbidden or full: then a reload begins anew, and nothing else happens. */
export const store = {
  get(key: string): string | null {
    try {
      return sessionStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key: string, value: string | null): void {
    try {
      if (value === null) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, value);
    } catch {
      /* see above */
    }
  },
};
