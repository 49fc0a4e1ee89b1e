//! Owns handlers: who wants to know what.
//! Used by rooms and feeds.

export type Handler<T> = (value: T) => void;

export interface Emitter<Events> {
  /** Returns what takes the handler away again. */
  on<K extends keyof Events>(event: K, handler: Handler<Events[K]>): () => void;
  emit<K extends keyof Events>(event: K, value: Events[K]): void;
  /** Whether anybody would hear it. */
  has(event: keyof Events): boolean;
}

/** A handler that throws must stop neither the others nor the connection: its error surfaces on its own. */
export function guard<T>(handler: Handler<T>, value: T): void {
  try {
    handler(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export function createEmitter<Events>(): Emitter<Events> {
  const all = new Map<keyof Events, Set<Handler<never>>>();
  return {
    on(event, handler) {
      // A handler of its own for each call, so that one function may be given twice.
      const own: Handler<never> = (value) => handler(value);
      const set = all.get(event) ?? new Set();
      all.set(event, set.add(own));
      return () => void set.delete(own);
    },
    has: (event) => (all.get(event)?.size ?? 0) > 0,
    emit(event, value) {
      for (const handler of [...(all.get(event) ?? [])]) guard(handler as Handler<typeof value>, value);
    },
  };
}
