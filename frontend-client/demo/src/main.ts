//! Owns the course of a visit: the door, the way in, the room, the way out.
//! Loaded by index.html.

import "../../shared/theme.css";
import "./page.css";
import "./room.css";
import { $, h, icon, say } from "../../shared/dom";
import { forget, link, serverAddress, settle, wanted } from "./address";
import { Beside } from "./beside";
import { Board } from "./board";
import { Chat } from "./chat";
import { Door } from "./door";
import { idOf } from "./names";
import { Game } from "./game";
import { showPeople } from "./people";
import { Session, type Way } from "./session";
import { CUT_MS, Strip } from "./strip";
import { Tokens } from "./tokens";
import { Wire } from "./wire";

const LINK = "M10 13a5 5 0 0 0 7.5.5l3-3a5 5 0 0 0-7-7l-1.7 1.7M14 11a5 5 0 0 0-7.5-.5l-3 3a5 5 0 0 0 7 7l1.7-1.7";
const VERDICTS: Record<string, string> = {
  continuous: "Back again: what you missed follows, nothing is lost.",
  snapshot: "Back again, but a part of the history is gone; the board is up to date.",
  reset: "The room began anew while you were away.",
  new: "You were away too long and have a new seat.",
};

const wire = new Wire();
const board = new Board(),
  chat = new Chat(),
  game = new Game(),
  beside = new Beside();
const strip = new Strip(() => wire.cutFor);
const asked = wanted();
const door = new Door(asked, (name, room, token) => void enter(idOf(name), name, room, token));
let session: Session | undefined;

async function enter(player: string, name: string, room: string, token: string): Promise<void> {
  door.refuse("");
  $<HTMLButtonElement>("go").disabled = true;
  say($("go"), "Knocking…");
  const base = await serverAddress();
  if (!base) {
    back("The server takes no connections at the moment: its operator has switched them off. (disabled)");
    return;
  }
  const way: Way = { base, room, player, name, wire, tokens: new Tokens(token, () => leave()) };
  const mine = (session = new Session(way));
  let isIn = false;
  mine.on("trouble", (why) => {
    if (mine === session && !isIn) door.refuse(why);
  });
  mine.on("closed", (why) => {
    if (mine === session) back(why);
  });
  strip.enter(mine);
  try {
    await mine.join();
  } catch {
    return;
  }
  if (mine !== session) return;
  isIn = true;
  arrive(mine, name, token);
}

function arrive(mine: Session, name: string, token: string): void {
  const { room } = mine;
  door.hide();
  settle(room, { player: mine.player, name, token });
  document.title = `${room} · Innkeeper`;
  say($("room-name"), room);
  say($("title-room"), room);
  for (const id of ["table", "where", "people", "leave", "strip"]) $(id).hidden = false;
  chat.enter(mine);
  board.enter(mine);
  game.enter(mine);
  beside.enter(room);
  for (const event of ["presence", "status", "state"] as const)
    mine.on(event, () => {
      if (mine === session) showPeople(mine);
    });
  mine.on("resumed", ({ verdict }) => chat.note(VERDICTS[verdict] ?? verdict, `resume ${verdict}`));
  mine.on("complaint", (why) => chat.note(why, "line-note"));
  mine.on("lost", () =>
    chat.note("The line is lost. Draw and write on: it is sent when the line is back.", "line-note"),
  );
  chat.note(mine.resumed ? "Back in your seat." : "You are in. Copy the link to bring somebody.", "presence");
  mine.on("status", (status) => {
    $("app").dataset.status = status;
  });
  $("app").dataset.status = mine.status;
  showPeople(mine);
  strip.show(mine, 0);
  if (matchMedia("(pointer: fine)").matches && window.parent === window) $("text").focus();
}

function leave(): void {
  const mine = session;
  if (mine) forget(mine.room);
  back("");
  mine?.leave();
}

/** To the door; the reason is in words already. */
function back(why: string): void {
  session = undefined;
  for (const part of [board, chat, game, strip]) part.leave();
  beside.close();
  for (const id of ["table", "where", "people", "leave", "strip"]) $(id).hidden = true;
  document.title = "Innkeeper";
  $<HTMLButtonElement>("go").disabled = false;
  say($("go"), "Try again");
  door.show(why);
}

$("leave").addEventListener("click", leave);
const shared = h("span", null, "Copy the link");
$("share").append(icon(LINK), shared);
$("share").setAttribute("aria-label", "Copy the link to this room");
$("share").addEventListener("click", async () => {
  const address = link(session?.room ?? "");
  try {
    await navigator.clipboard.writeText(address);
    say(shared, "Copied");
    $("share").dataset.done = "true";
  } catch {
    // Not over plain HTTP, and not where it was forbidden: then the person copies it.
    window.prompt("The link to this room:", address);
  }
  setTimeout(() => {
    say(shared, "Copy the link");
    delete $("share").dataset.done;
  }, 2000);
});
$("cut").addEventListener("click", () => {
  wire.cut(CUT_MS);
  // What waits out a long pause between attempts is told that there may be a network again.
  setTimeout(() => {
    if (wire.cutFor === 0) window.dispatchEvent(new Event("online"));
  }, CUT_MS + 20);
});

// A link to a seat, or this very page reloaded, leads straight in.
if (asked.room && asked.again) void enter(asked.player, asked.name, asked.room, asked.token);
