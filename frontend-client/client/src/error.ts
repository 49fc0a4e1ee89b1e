//! Owns the one error type of the library: a stable code, words for people, and the close code if there was one.
//! Thrown, rejected with and handed to handlers by everything else.

/** `code` is the server's (`conflict`, `kicked`, …) or the library's: see the README's table. */
export class InnkeeperError extends Error {
  override readonly name = "InnkeeperError";

  constructor(
    readonly code: string,
    message: string,
    /** The WebSocket's close code, when this ended a connection. */
    readonly closeCode?: number,
    /** The topic of a feed that this is about: `topic_rejected`. */
    readonly topic?: string,
  ) {
    super(message);
  }
}
