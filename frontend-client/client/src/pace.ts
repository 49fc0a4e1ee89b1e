//! Owns how fast a connection may be written to: below the server's rates, past which it closes with 4029 (S5, S5a).
//! Used by `outbox` and `feed`.

/** Frames that may be written at once. */
const BURST = 100;
/** Bytes that may be written at once, and in a second: below the server's BYTE_BURST and BYTE_RATE (S5a). */
const BYTE_BURST = 700_000;
const BYTE_RATE = 200_000;

export interface Pace {
  /** Milliseconds until a frame may be written; 0: now. */
  wait(): number;
  /** A frame of so many bytes was written. It may overdraw the bytes: it may be longer than all that may be written at once. */
  spend(bytes: number): void;
  /** Spends only where half of the burst is left. */
  spare(bytes: number): boolean;
}

/** `rate`: frames per second, after a burst. */
export function createPace(rate: number): Pace {
  let frames = BURST;
  let bytes = BYTE_BURST;
  let filledAt = performance.now();

  function refill(): void {
    const at = performance.now();
    frames = Math.min(BURST, frames + ((at - filledAt) * rate) / 1000);
    bytes = Math.min(BYTE_BURST, bytes + ((at - filledAt) * BYTE_RATE) / 1000);
    filledAt = at;
  }

  function spend(size: number): void {
    frames--;
    bytes -= size;
  }

  return {
    wait() {
      refill();
      if (frames >= 1 && bytes >= 0) return 0;
      return frames < 1 ? 1000 / rate : Math.ceil((-bytes * 1000) / BYTE_RATE) + 1;
    },
    spend,
    spare(size) {
      refill();
      if (frames < BURST / 2 || bytes < BYTE_BURST / 2) return false;
      spend(size);
      return true;
    },
  };
}
