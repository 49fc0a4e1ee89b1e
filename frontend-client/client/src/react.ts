//! Owns rooms as React knows them: a hook that joins while a component is there, and one that hears its events.
//! Exported as `@innkeeper/client/react`; React is the application's own.

import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { InnkeeperError, connect } from "@innkeeper/client";
import type { ConnectOptions, Json, PlayerStatus, Room, RoomEvents, Status, Token } from "@innkeeper/client";

export interface UseRoomOptions extends ConnectOptions {
  game: string;
  player: string;
  /** What becomes of the seat when no component uses the room any more. Default `leave`; `close` keeps it for a while. */
  onUnmount?: "leave" | "close" | undefined;
}

/** Another object after each change of what is in it. */
export interface RoomView<S = Json, M = Json, V = Json> {
  /** `undefined` while the component is rendered for the first time. */
  readonly room: Room<S, M, V> | undefined;
  readonly status: Status;
  /** Why it is not online. */
  readonly reason: InnkeeperError | undefined;
  readonly role: "player" | "spectator" | undefined;
  /** `undefined` until the first welcome. */
  readonly state: S | undefined;
  readonly players: ReadonlyMap<string, PlayerStatus>;
  readonly names: ReadonlyMap<string, string>;
  readonly playerCount: number;
}

interface Shared {
  room: Room;
  users: number;
}

const rooms = new Map<string, Shared>();
const NOBODY: ReadonlyMap<string, any> = new Map();
const NOTHING: RoomView = {
  room: undefined,
  status: "connecting",
  reason: undefined,
  role: undefined,
  state: undefined,
  players: NOBODY,
  names: NOBODY,
  playerCount: 0,
};

/**
 * A seat in a room, joined while a component that asks for it is there; all that ask for the same share one connection.
 * `url` is the server's, or `null` while there is nothing to join yet. Another `game`, `player`, `spectate`, `name` or
 * `names`, or a token where there was none, is another room; of the other options the first ones count.
 */
export function useRoom<S = Json, M = Json, V = Json>(
  url: string | null | undefined,
  options: UseRoomOptions,
): RoomView<S, M, V> {
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const { game, player, spectate = false, name = null, names = false, token } = options;
  const key = url == null ? undefined : JSON.stringify([url, game, player, spectate, name, names, token == null]);
  const [held, setHeld] = useState<{ key: string; room?: Room; error?: InnkeeperError }>();

  useEffect(() => {
    if (key === undefined || url == null) return;
    try {
      const shared = acquire(key, url, () => latest.current);
      setHeld({ key, room: shared.room });
      return () => release(key, shared, latest.current.onUnmount);
    } catch (error) {
      // A name that cannot be one, no WebSocket: said like every other end.
      if (!(error instanceof InnkeeperError)) throw error;
      setHeld({ key, error });
      return;
    }
  }, [key]);

  const current = held?.key === key ? held : undefined;
  const { subscribe, read } = useMemo(() => storeOf(current?.room, current?.error), [current]);
  return useSyncExternalStore(subscribe, read, () => NOTHING) as unknown as RoomView<S, M, V>;
}

/** Calls `handler` with each event while the component is there; the handler may be another function each time. */
export function useRoomEvent<S, M, V, K extends keyof RoomEvents>(
  room: Room<S, M, V> | undefined,
  event: K,
  handler: (value: RoomEvents<S, M, V>[K]) => void,
): void {
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  useEffect(() => room?.on(event, (value) => latest.current(value)), [room, event]);
}

function acquire(key: string, url: string, options: () => UseRoomOptions): Shared {
  let shared = rooms.get(key);
  if (!shared) {
    const { token } = options();
    // The newest one: a component may get a fresh token, or close over one.
    const fresh: Token = () => {
      const { token } = options();
      return typeof token === "function" ? token() : token;
    };
    const client = connect(url, { ...options(), token: token == null ? undefined : fresh });
    shared = { room: client.room, users: 0 };
    rooms.set(key, shared);
    // The status says how it ends.
    client.join().catch(() => undefined);
  }
  shared.users++;
  return shared;
}

/** Not at once: StrictMode, and a component that takes another's place, ask for the same room in the same turn. */
function release(key: string, shared: Shared, how: UseRoomOptions["onUnmount"]): void {
  shared.users--;
  setTimeout(() => {
    if (shared.users > 0 || rooms.get(key) !== shared) return;
    rooms.delete(key);
    if (how === "close") shared.room.close();
    else void shared.room.leave();
  }, 0);
}

function storeOf(room: Room | undefined, error: InnkeeperError | undefined) {
  if (!room) {
    const view: RoomView = error ? { ...NOTHING, status: "closed", reason: error } : NOTHING;
    return { subscribe: () => () => undefined, read: () => view };
  }
  let view: RoomView = NOTHING;
  return {
    subscribe(changed: () => void) {
      const offs = (["status", "state", "players", "presence"] as const).map((event) => room.on(event, changed));
      return () => offs.forEach((off) => off());
    },
    read() {
      const { status, reason, role, players, names, playerCount } = room;
      // Before the first welcome it holds nothing that is anybody's.
      const state = role === undefined ? undefined : room.state;
      const next: RoomView = { room, status, reason, role, state, players, names, playerCount };
      const keys = Object.keys(next) as (keyof RoomView)[];
      if (keys.some((key) => next[key] !== view[key])) view = next;
      return view;
    },
  };
}
