//! Owns the course of a visit to the dashboard: with or without a token, in, out again when the server says so.
//! Loaded by index.html.

import "../../shared/theme.css";
import "./page.css";
import "./tables.css";
import "./feeds.css";
import { connect, type Feed, type InnkeeperError } from "@innkeeper/client";
import { $, say } from "../../shared/dom";
import { token } from "./api";
import { showCauses } from "./causes";
import { Charts } from "./charts";
import { Feeds } from "./feeds";
import { duration } from "./format";
import { SecurityLog } from "./log";
import { Room } from "./room";
import { Rooms } from "./rooms";
import { Series, type Stats } from "./series";

const WORDS: Record<string, string> = {
  connecting: "connecting",
  online: "live",
  reconnecting: "reconnecting",
  closed: "closed",
};
/** What says that the token is missing or wrong, as a close code. */
const NEEDS_TOKEN = [4001, 4003, 4005];

const series = new Series();
const feeds = new Feeds();
const log = new SecurityLog();
const room = new Room(() => void rooms.refresh());
const rooms = new Rooms(
  (game) => room.open(game),
  (error) => knock(error.status === 401 ? "" : `The server did not accept the token: ${error.message}.`),
);
let charts: Charts | undefined;
let feed: Feed | undefined;

function enter(): void {
  const secret = token.get();
  feed?.close();
  const mine = (feed = connect(location.origin, secret ? { token: secret } : {}).feed("_server"));
  if (!secret) void ask();
  mine.on("status", ({ status, reason }) => {
    if (mine !== feed) return;
    show(status, reason);
    if (status === "online") arrive();
    if (status === "closed")
      knock(reason && NEEDS_TOKEN.includes(reason.closeCode ?? 0) ? whyNot(reason, secret) : (reason?.message ?? ""));
  });
  mine.subscribe("stats", (value) => {
    if (mine === feed) take(value as unknown as Stats);
  });
  mine.subscribe("security", (value, { snapshot }) => {
    if (mine === feed) log.add(value, snapshot ?? false);
  });
}

/** The API answers at once what the socket would only say after AUTH_TIMEOUT_MS: that a token is needed. */
async function ask(): Promise<void> {
  const answer = await fetch("/api/games?limit=1", { cache: "no-store" }).catch(() => undefined);
  if (answer && (answer.status === 401 || answer.status === 403) && feed?.status !== "online") knock("");
}

function whyNot(reason: InnkeeperError, secret: string | undefined): string {
  if (!secret) return "";
  return reason.closeCode === 4005
    ? "The token has expired."
    : `The server did not accept the token: ${reason.message}.`;
}

function arrive(): void {
  $("knock").hidden = true;
  if (!$("inside").hidden) return;
  $("inside").hidden = false;
  $("forget").hidden = token.get() === undefined;
  charts ??= new Charts(series);
  rooms.start();
}

/** `why` is empty for whoever has not tried yet. */
function knock(why: string): void {
  const mine = feed;
  feed = undefined;
  mine?.close();
  token.set(undefined);
  rooms.stop();
  $<HTMLDialogElement>("room").close();
  $("inside").hidden = true;
  $("forget").hidden = true;
  $("knock").hidden = false;
  say($("knock-why"), why);
  say($("status-words"), "not connected");
  $("status").dataset.status = "closed";
  $("token").focus();
}

function show(status: string, reason: InnkeeperError | undefined): void {
  $("status").dataset.status = status;
  say($("status-words"), WORDS[status] ?? status);
  $("status").title = reason?.message ?? "";
}

function take(stats: Stats): void {
  series.add(stats);
  charts?.update();
  showCauses(stats);
  feeds.show(stats);
  say($("about"), `version ${stats.version}, up ${duration(stats.uptime_ms)}`);
}

$("knock-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = $<HTMLInputElement>("token");
  token.set(input.value.trim());
  input.value = "";
  say($("knock-why"), "");
  enter();
});
$("forget").addEventListener("click", () => knock(""));
// A link with another key that is opened in a tab of this page loads nothing.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#key=")) {
    token.fromFragment();
    enter();
  }
});
token.fromFragment();
enter();
