//! Owns what a page knows of its own clients that gave an address up: the next one must not be taken for a stranger.
//! Used by `room`.

/** So long a server that heard nothing may still hold the seat for a connection. */
const MEMORY_MS = 60_000;
/** A socket that does not end by then is not waited for. */
const PATIENCE_MS = 2_000;

const departures = new Map<string, { at: number; over: Promise<unknown> | undefined }>();

/** `over` resolves when the client's last socket has ended. */
export function depart(address: string, over: Promise<unknown>): void {
  const at = performance.now();
  for (const [other, { at: then }] of departures) if (at - then > MEMORY_MS) departures.delete(other);
  const mine: { at: number; over: Promise<unknown> | undefined } = { at, over };
  mine.over = over.then(() => (mine.over = undefined));
  departures.set(address, mine);
}

/** The server has confirmed that the seat is free. */
export function isFree(address: string): void {
  departures.delete(address);
}

/** Who gave this address up a short time ago: what to wait for, if it is not over. */
export function predecessor(address: string): { over: Promise<void> | undefined } | undefined {
  const found = departures.get(address);
  if (!found || performance.now() - found.at > MEMORY_MS) return undefined;
  if (!found.over) return { over: undefined };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, PATIENCE_MS)));
  return { over: Promise.race([found.over, patience]).then(() => clearTimeout(timer)) };
}

/** For tests, whose clocks begin anew. */
export function forgetDepartures(): void {
  departures.clear();
}
