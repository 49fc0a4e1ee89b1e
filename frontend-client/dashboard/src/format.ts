//! Owns how numbers, sizes and times read on the dashboard.
//! Called by every other module of it.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(value: number): string {
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 1,234 up to 9,999, then 12.3 k. */
export function count(value: number): string {
  if (value < 10_000) return Math.round(value).toLocaleString("en");
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} k` : `${(value / 1e6).toFixed(1)} M`;
}

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** The largest unit alone, for a column. */
export function age(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes < 1) return `${Math.max(0, Math.floor(ms / 1000))} s`;
  if (minutes < 60) return `${Math.floor(minutes)} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

/** Of what may be less than one a second. */
export const rate = (value: number): string => (value > 0 && value < 9.95 ? value.toFixed(1) : count(value));

/** Of a latency in ms; below a millisecond in µs. */
export const millis = (value: number): string =>
  value < 1 ? `${Math.round(value * 1000)} µs` : value < 100 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const clock = (unixMs: number): string => CLOCK.format(unixMs);

/** A name in the code's manner as words: `rate_limit` to `rate limit`. */
export const words = (name: string): string => name.replaceAll("_", " ");
