//! Owns the view of one room: facts, players, state, event log; kick, close, send as @server.
//! Called by main.ts when a row of the table is chosen.

import { $, h, say } from "../../shared/dom";
import { api, ApiError, type Detail, type Event } from "./api";
import { facts } from "./causes";
import { chosen, confirmed } from "./confirm";
import { bytes, clock, count, duration, millis } from "./format";
import { Tree } from "./tree";

const POLL_MS = 2000,
  EVENTS = 300;
/** How long a kicked player stays out, in seconds; a day is the most that the server takes. */
const BANS = [
  ["0", "at once"],
  ["600", "in 10 minutes"],
  ["3600", "in an hour"],
  ["86400", "in a day"],
] as const;

export class Room {
  #game: string | undefined;
  #after = 0;
  #epoch = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tree = new Tree($("state"));
  #dialog = $<HTMLDialogElement>("room");

  constructor(private readonly changed: () => void) {
    this.#dialog.addEventListener("close", () => {
      this.#game = undefined;
      clearTimeout(this.#timer);
    });
    $("room-shut").addEventListener("click", () => this.#dialog.close());
    $("room-end").addEventListener("click", () => void this.#end());
    $("speak").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#speak();
    });
  }

  open(game: string): void {
    this.#game = game;
    this.#restart();
    say($("room-name"), game);
    say($("speak-said"), "");
    $("room-facts").replaceChildren();
    $("players").replaceChildren();
    this.#note("");
    this.#dialog.showModal();
    void this.#poll();
  }

  #restart(): void {
    this.#after = 0;
    this.#epoch = "";
    this.#tree.reset();
    $("events").replaceChildren();
  }

  async #poll(): Promise<void> {
    const game = this.#game;
    if (game === undefined) return;
    clearTimeout(this.#timer);
    try {
      const detail = await api.room(game);
      if (game !== this.#game) return;
      if (this.#epoch && this.#epoch !== detail.epoch) this.#restart();
      this.#epoch = detail.epoch;
      this.#show(detail);
      // The newest are asked for first: the log of a busy room is long.
      const from = Math.max(this.#after, detail.seq - EVENTS, 0);
      const { events } = await api.events(game, from, EVENTS);
      if (game !== this.#game) return;
      this.#append(events);
      this.#note("");
    } catch (error) {
      if (game !== this.#game) return;
      this.#note(error instanceof ApiError && error.status === 404 ? "This room is closed." : wordsOf(error));
    }
    this.#timer = setTimeout(() => void this.#poll(), POLL_MS);
  }

  #show(detail: Detail): void {
    const players = Object.entries(detail.players);
    facts($("room-facts"), [
      ["players", `${detail.connected} of ${players.length} connected`],
      ["watching", count(detail.spectators)],
      ["seq", detail.seq.toLocaleString("en")],
      ["events kept", `${count(detail.events_kept)}, from ${detail.first_seq.toLocaleString("en")}`],
      ["size", bytes(detail.bytes)],
      ["age", duration(detail.age_ms)],
      ["logic", detail.logic],
      ["durability", detail.durability],
      ["epoch", detail.epoch],
    ]);
    this.#players(players);
    this.#tree.show(detail.state);
  }

  #players(players: [string, Detail["players"][string]][]): void {
    const focused = (document.activeElement as HTMLElement | null)?.dataset.kick;
    const head = h(
      "thead",
      null,
      h(
        "tr",
        null,
        ...["Player", "Status", "Queue", "Latency", "Last id", ""].map((title) =>
          title ? h("th", { scope: "col" }, title) : h("td"),
        ),
      ),
    );
    $("players").replaceChildren(
      head,
      h(
        "tbody",
        null,
        ...players.map(([name, player]) => {
          const kick = h(
            "button",
            {
              type: "button",
              class: "quiet danger",
              data: { kick: name },
              "aria-label": `Kick ${name}`,
              onclick: () => void this.#kick(name),
            },
            "Kick",
          );
          const latency = player.latency_ms === null ? "–" : millis(player.latency_ms);
          return h(
            "tr",
            { data: { player: name } },
            h("th", { scope: "row" }, name),
            h("td", { data: { status: player.status } }, player.status === "joined" ? "here" : player.status),
            h(
              "td",
              { class: "num" },
              player.queue_frames ? `${count(player.queue_frames)}, ${bytes(player.queue_bytes)}` : "empty",
            ),
            h("td", { class: "num" }, latency),
            h("td", { class: "num" }, player.last_id),
            h("td", null, kick),
          );
        }),
      ),
    );
    if (players.length === 0)
      $("players").append(
        h("tbody", null, h("tr", null, h("td", { class: "none", colspan: 6 }, "Nobody has a seat."))),
      );
    if (focused !== undefined)
      [...$("players").querySelectorAll<HTMLElement>("[data-kick]")]
        .find((button) => button.dataset.kick === focused)
        ?.focus();
  }

  #append(events: Event[]): void {
    const list = $("events");
    for (const event of events) {
      if (event.seq <= this.#after) continue;
      this.#after = event.seq;
      list.prepend(eventRow(event));
    }
    while (list.childElementCount > EVENTS) list.lastElementChild!.remove();
  }

  async #kick(player: string): Promise<void> {
    const game = this.#game;
    if (game === undefined) return;
    const ban = await chosen(
      `Kick ${player}?`,
      `${player} loses the seat in ${game} at once, and the page says so to them.`,
      "Kick",
      "They may join again",
      BANS,
    );
    if (ban !== undefined) await this.#do(() => api.kick(game, player, Number(ban) || undefined));
  }

  async #end(): Promise<void> {
    const game = this.#game;
    if (
      game === undefined ||
      !(await confirmed(
        `Close ${game}?`,
        "Everybody in it is disconnected, and its state and log are deleted. This cannot be undone.",
        "Close the room",
      ))
    )
      return;
    if (await this.#do(() => api.end(game))) this.#dialog.close();
  }

  async #speak(): Promise<void> {
    const game = this.#game,
      text = $<HTMLTextAreaElement>("speak-data").value,
      kind = $<HTMLSelectElement>("speak-kind").value;
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      if (kind === "patch") {
        say($("speak-said"), "A patch is a JSON object.");
        return;
      }
    }
    if (kind === "patch" && (value === null || typeof value !== "object" || Array.isArray(value))) {
      say($("speak-said"), "A patch is a JSON object.");
      return;
    }
    if (
      game === undefined ||
      !(await confirmed(
        kind === "patch" ? "Change the state?" : "Send as @server?",
        `To everybody in ${game}: ${JSON.stringify(value)}`,
        kind === "patch" ? "Change" : "Send",
      ))
    )
      return;
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    const done = await this.#do(() => api.append(game, kind === "patch" ? { patch: value } : { data: value }, key));
    if (!done) return;
    say($("speak-said"), `It is event ${done.seq}.`);
    $<HTMLTextAreaElement>("speak-data").value = "";
  }

  async #do<T>(action: () => Promise<T>): Promise<T | undefined> {
    try {
      const done = await action();
      this.changed();
      void this.#poll();
      return done;
    } catch (error) {
      this.#note(wordsOf(error));
      return undefined;
    }
  }

  #note(text: string): void {
    say($("room-note"), text);
    $("room-note").hidden = !text;
  }
}

const wordsOf = (error: unknown) => (error instanceof ApiError ? `${error.message} (${error.code})` : String(error));

function eventRow(event: Event): HTMLElement {
  const { type, seq, time, from, player, status, reason, only } = event;
  const body =
    type === "presence"
      ? [player, status, reason && `(${reason})`].filter(Boolean).join(" ")
      : (JSON.stringify(type === "patch" ? event.patch : event.data) ?? "");
  return h(
    "div",
    { class: "entry", data: { seq, type } },
    h("span", { class: "num seq" }, `#${seq}`),
    h("time", { class: "num" }, time ? clock(time) : ""),
    h("span", { class: "kind" }, type),
    h("span", { class: "who" }, from ?? ""),
    h("span", { class: "what", title: body.slice(0, 2000) }, body.slice(0, 400)),
    only ? h("span", { class: "only" }, `only ${only.join(", ")}`) : null,
  );
}
