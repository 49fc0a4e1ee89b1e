//! Owns the page's own address: which room and player it names, the link to share, where the server is.
//! Called by main.ts.

import { isObject, store } from "../../shared/dom";
import { isName, ROOM_LENGTH } from "./names";

/** `again`: this tab was in that room before, or was sent to that very seat. */
export interface Wanted {
  room: string;
  player: string;
  name: string;
  token: string;
  again: boolean;
}

const ME = "innkeeper me";

/**
 * The address names the room alone, so that it can be shared as it is; who one was there is kept in the tab. A token
 * comes in the fragment, which no server and no log sees, and leaves the address at once.
 */
export function wanted(): Wanted {
  const query = new URLSearchParams(location.search),
    fragment = new URLSearchParams(location.hash.slice(1));
  const room = query.get("room") ?? "",
    given = query.get("player") ?? "",
    me = given ? undefined : remembered(room);
  const player = given || (me?.player ?? ""),
    token = fragment.get("token") ?? me?.token ?? "";
  if (fragment.has("token")) history.replaceState(null, "", location.pathname + location.search);
  const seat = isName(player) ? player : "";
  return {
    room: isName(room, ROOM_LENGTH) ? room : "",
    player: seat,
    name: me?.name || seat,
    token,
    again: seat !== "",
  };
}

interface Me {
  player: string;
  name: string;
  token: string;
}

function remembered(room: string): Me | undefined {
  try {
    const me: unknown = JSON.parse(store.get(`${ME} ${room}`) ?? "null");
    return isObject(me)
      ? { player: String(me.player), name: String(me.name ?? me.player), token: String(me.token) }
      : undefined;
  } catch {
    return undefined;
  }
}

/** A seat that the address names stays named in it: that is how a second player comes into a frame. */
export function settle(room: string, me: Me): void {
  const { player } = me;
  const named = new URLSearchParams(location.search).get("player") === player;
  history.replaceState(null, "", link(room, named ? player : undefined));
  if (!named) store.set(`${ME} ${room}`, JSON.stringify(me));
}

export function forget(room: string): void {
  store.set(`${ME} ${room}`, null);
}

export function link(room: string, player?: string): string {
  const url = new URL(location.pathname, location.origin);
  url.searchParams.set("room", room);
  if (player) url.searchParams.set("player", player);
  return url.href;
}

/**
 * Where to connect: what the server says of itself, or where this page came from; `null` when it is switched off.
 * A page that came over TLS may not use a plain connection; a proxy in between may have hidden that from the server.
 */
export async function serverAddress(): Promise<string | null> {
  const own = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
  try {
    const answer = await fetch("/api/client-config", { signal: AbortSignal.timeout(4000) });
    const { websocket } = (await answer.json()) as { websocket: { enabled?: boolean; url?: string } };
    if (websocket.enabled === false) return null;
    const url = websocket.url ?? own;
    return location.protocol === "https:" ? url.replace(/^ws:/, "wss:") : url;
  } catch {
    return own;
  }
}
