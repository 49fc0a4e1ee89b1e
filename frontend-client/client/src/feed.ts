//! Owns a subscriber's view of a hub: which topics are wanted, by how many, and their last values (contract section 6).
//! Made by `connect(…).feed(…)`; the connection under it is `link`'s.

import { passable } from "./check.js";
import { createEmitter, guard, type Handler } from "./emitter.js";
import { InnkeeperError } from "./error.js";
import { createLink, type LinkOptions } from "./link.js";
import { createPace } from "./pace.js";
import type { Data, FeedState, Gap, Json, Status, StatusChange } from "./types.js";

export interface FeedEvents {
  status: StatusChange;
  /** The hub's upstream (H3). */
  feed: FeedState;
  /** The hub missed values (H4). */
  gap: Gap;
  /** The server refused something, or the token function failed. */
  error: InnkeeperError;
}

export interface Feed {
  readonly hub: string;
  readonly status: Status;
  readonly reason: InnkeeperError | undefined;
  /** The last round trip in ms. */
  readonly latency: number | undefined;
  /** Returns what takes the handler away again. */
  on<K extends keyof FeedEvents>(event: K, handler: Handler<FeedEvents[K]>): () => void;
  /**
   * Values of a topic: first the last known one, if there is one, then each new one. The server is asked once for a
   * topic, however many subscribe to it here. Returns what unsubscribes.
   */
  subscribe(topic: string, handler: (data: Json, frame: Data) => void): () => void;
  /**
   * Publishes to a hub without an upstream, where the role may. Resolves with the value's number once it is stored; it is
   * rejected with `unconfirmed` when the connection was lost before the answer came: it may have been published.
   */
  publish(topic: string, data: unknown): Promise<{ seq: number }>;
  close(): void;
}

/** Topics in one frame: it must not come near the server's MAX_MESSAGE_BYTES. */
const BATCH = 200;
/** Values that may wait for their answer, or for a connection. */
const PUBLISHING = 256;

interface Publication {
  text: string;
  isOut: boolean;
  resolve(receipt: { seq: number }): void;
  reject(error: unknown): void;
}

interface Topic {
  handlers: Set<Handler<Data>>;
  last?: Data;
}

/** `rate`: values that are published per second, after a burst. */
export function createFeed(base: string, hub: string, rate: number, linkOptions: LinkOptions): Feed {
  const { on, emit } = createEmitter<FeedEvents>();
  const topics = new Map<string, Topic>();
  // What the server believes on this connection.
  let asked = new Set<string>();
  let isDue = false;
  const publications = new Map<number, Publication>();
  let lastId = 0;
  const pace = createPace(rate);
  let timer: ReturnType<typeof setTimeout> | undefined;

  const link = createLink(linkOptions, {
    url: () => `${base}/ws/${hub}`,
    // Subscribers have no seats to take from each other.
    mayOverlap: () => true,
    welcome() {
      asked = new Set();
      tell();
      publishAll();
      changed();
    },
    frame(frame) {
      switch (frame.type) {
        case "data": {
          const topic = topics.get(frame.topic);
          if (!topic) break;
          topic.last = frame;
          for (const handler of [...topic.handlers]) guard(handler, frame);
          break;
        }
        case "feed":
          emit("feed", frame);
          break;
        case "subscribed":
          if (frame.feed) emit("feed", { type: "feed", ...frame.feed });
          break;
        case "gap":
          emit("gap", frame);
          break;
        case "published":
          publications.get(frame.id)?.resolve({ seq: frame.seq });
          publications.delete(frame.id);
          break;
        case "error":
          if (frame.id !== undefined && refuse(frame.id, frame.code, frame.message)) break;
          emit("error", new InnkeeperError(frame.code, frame.message, undefined, frame.topic));
      }
    },
    changed,
    failed: (error) => emit("error", error),
  });

  function changed(): void {
    const { status, reason, retryInMs } = link;
    if (status !== "online") {
      clearTimeout(timer);
      for (const [id, { isOut, reject }] of publications) {
        if (isOut)
          refuse(id, "unconfirmed", "the connection was lost before the answer came; it may have been published");
        else if (status === "closed") {
          publications.delete(id);
          reject(reason);
        }
      }
    }
    emit("status", { status, reason, retryInMs });
  }

  /** In their order, as fast as may be; the rest follows. */
  function publishAll(): void {
    clearTimeout(timer);
    for (const publication of publications.values()) {
      if (publication.isOut) continue;
      const wait = pace.wait();
      if (wait > 0) {
        timer = setTimeout(publishAll, wait);
        return;
      }
      publication.isOut = link.send(publication.text);
      if (!publication.isOut) return;
      pace.spend(new TextEncoder().encode(publication.text).length);
    }
  }

  function refuse(id: number, code: string, message: string): boolean {
    const found = publications.get(id);
    publications.delete(id);
    found?.reject(new InnkeeperError(code, message));
    return found !== undefined;
  }

  /** Tells the server the difference between what is wanted and what it was asked for. */
  function tell(): void {
    isDue = false;
    for (const [name, { handlers }] of topics) if (handlers.size === 0) topics.delete(name);
    const say = (type: "subscribe" | "unsubscribe", names: string[]) => {
      for (let at = 0; at < names.length; at += BATCH) link.send({ type, topics: names.slice(at, at + BATCH) });
    };
    if (link.status !== "online") return;
    say(
      "unsubscribe",
      [...asked].filter((name) => !topics.has(name)),
    );
    say(
      "subscribe",
      [...topics.keys()].filter((name) => !asked.has(name)),
    );
    asked = new Set(topics.keys());
  }

  /** Once for all that is asked for in this turn; what is taken back in it is never said. */
  function plan(): void {
    if (!isDue) queueMicrotask(tell);
    isDue = true;
  }

  link.start();
  return {
    hub,
    on,
    get status() {
      return link.status;
    },
    get reason() {
      return link.reason;
    },
    get latency() {
      return link.latency;
    },
    subscribe(name, callback) {
      const topic: Topic = topics.get(name) ?? { handlers: new Set() };
      const handler: Handler<Data> = (frame) => callback(frame.data, frame);
      topics.set(name, topic);
      topic.handlers.add(handler);
      const { last } = topic;
      if (last) queueMicrotask(() => topic.handlers.has(handler) && guard(handler, { ...last, snapshot: true }));
      plan();
      return () => {
        topic.handlers.delete(handler);
        plan();
      };
    },
    publish: (topic, data) =>
      new Promise((resolve, reject) => {
        if (link.status === "closed") throw link.reason;
        if (publications.size >= PUBLISHING)
          throw new InnkeeperError("overflow", `${PUBLISHING} values are unconfirmed`);
        // As it is now: what the caller changes later is another value.
        const text = JSON.stringify({ type: "publish", id: lastId + 1, topic, data: data ?? null });
        passable(text);
        publications.set(++lastId, { text, isOut: false, resolve, reject });
        publishAll();
      }),
    close: () => link.stop(new InnkeeperError("left", "the feed was closed")),
  };
}
