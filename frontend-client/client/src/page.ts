//! Owns what a page is told of its network and of being looked at. Node tells nothing.
//! Used by `link`.

export interface Watcher {
  /** There may be a network again, or somebody looks at the page again. */
  wake(): void;
  /** The browser says that there is no network. */
  offline(): void;
}

/** Returns what ends the watch. */
export function watchPage({ wake, offline }: Watcher): () => void {
  const { document } = globalThis as { document?: Document };
  const woken = () => document?.visibilityState !== "hidden" && wake();
  const listen = (method: "addEventListener" | "removeEventListener") => {
    for (const event of ["online", "pageshow"]) globalThis[method]?.(event, woken);
    globalThis[method]?.("offline", offline);
    document?.[method]("visibilitychange", woken);
  };
  listen("addEventListener");
  return () => listen("removeEventListener");
}
