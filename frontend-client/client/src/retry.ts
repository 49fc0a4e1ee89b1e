//! Owns what follows the end of a connection: whether to come back, and when (contract section 4 and C1).
//! Called by `link`.

/** `later`: as `resume`, but with patience, which nothing cuts short. */
export type Verdict = "stop" | "resume" | "later";

/** `why` is the code of the last `error` frame or the close frame's reason. */
export function verdictOf(closeCode: number, why: string): Verdict {
  if (closeCode === 1008) return why === "connection_limit" ? "later" : "stop";
  if (closeCode === 1013 || closeCode === 4029) return "later";
  const stops = [1000, 1009, 4000, 4002, 4003, 4004, 4010];
  return stops.includes(closeCode) || (closeCode >= 4500 && closeCode <= 4999) ? "stop" : "resume";
}

/** Full jitter: anything from nothing to twice as much as the time before, up to the cap. `failures` in a row, from 0. */
export function backoff(failures: number, baseMs: number, capMs: number): number {
  return Math.random() * Math.min(capMs, baseMs * 2 ** failures);
}
