//! Owns the tests of the rows of hubs and proxies: states, rates from totals, who needs help, servers that say less or more.
//! Run by `npm test` in frontend-client.

import { expect, test } from "vitest";
import { alarm, Flows, summary } from "../src/flows";
import { rate } from "../src/format";
import type { Stats } from "../src/series";

const HUB = {
  hub: "options",
  provider: "massive-options",
  enabled: true,
  state: "live",
  clients: 3,
  topics: 12,
  upstream_connections: 1,
  reconnect_attempts: 2,
  last_message_age_ms: 40,
  messages: 1000,
  gaps: 1,
};
const PROXY = {
  proxy: "openai",
  enabled: true,
  sessions: 2,
  sessions_total: 9,
  bytes_in: 500,
  bytes_out: 9000,
  budget_closes: 4,
};

/** What the server says `second` seconds after its start; only what the rows are made from. */
const stats = (second: number, lists: Partial<Stats>): Stats =>
  ({ time: 1_000_000 + second * 1000, uptime_ms: second * 1000, ...lists }) as Stats;
const hubs = (...lists: object[]) =>
  new Flows().add(stats(1, { hubs: lists.map((each) => ({ ...HUB, ...each })) })).hubs;
const one = (fields: object) => hubs(fields)[0]!;

test("a row says what the server said", () => {
  const flows = new Flows().add(stats(1, { hubs: [HUB], proxies: [PROXY] }));
  expect(flows.hubs).toEqual([
    {
      name: "options",
      provider: "massive-options",
      state: "live",
      word: "live",
      clients: 3,
      topics: 12,
      upstreams: 1,
      attempts: 2,
      idleMs: 40,
      perSecond: null,
      gaps: 1,
      needy: false,
    },
  ]);
  expect(flows.proxies).toEqual([
    {
      name: "openai",
      state: "on",
      word: "on",
      sessions: 2,
      sessionsSoFar: 9,
      inPerSecond: null,
      outPerSecond: null,
      budgetCloses: 4,
    },
  ]);
});

test("h3 each state has its word: idle when nobody is there, off when it is switched off whatever else is said", () => {
  for (const state of ["live", "stale", "down", "connecting"])
    expect(one({ state })).toMatchObject({ state, word: state });
  expect(one({ state: "disconnected", clients: 0 })).toMatchObject({ state: "idle", word: "idle" });
  expect(one({ state: "disconnected", enabled: false })).toMatchObject({ state: "off", word: "off" });
  expect(one({ state: "down", enabled: false, clients: 3 })).toMatchObject({ state: "off", needy: false });
  expect(one({ state: "hibernating" })).toMatchObject({ state: "", word: "hibernating" });
  expect(new Flows().add(stats(1, { proxies: [{ ...PROXY, enabled: false }] })).proxies[0]).toMatchObject({
    state: "off",
    word: "off",
  });
});

test("needy is who has clients and is down, and nobody else; the alarm names them in the list's order", () => {
  const rows = hubs(
    { hub: "b", state: "down" },
    { hub: "a", state: "down", clients: 0 },
    { hub: "c", state: "stale" },
    { hub: "d", state: "down", clients: 1 },
    { hub: "e", state: "connecting", reconnect_attempts: 0 },
  );
  expect(rows.filter(({ needy }) => needy).map(({ name }) => name)).toEqual(["b", "d"]);
  expect(alarm(rows)).toBe("Down while clients wait: b, d.");
  expect(alarm(rows.filter(({ needy }) => !needy))).toBe("");
});

test("what changes every second does not change the alarm: a screen reader would say it again and again", () => {
  const said = [1, 2, 3].flatMap((n) =>
    ["down", "connecting"].map((state) =>
      alarm(hubs({ state, clients: n, reconnect_attempts: n, last_message_age_ms: n * 1000 })),
    ),
  );
  expect(new Set(said)).toEqual(new Set(["Down while clients wait: options."]));
});

test("rates are what the totals grew by over the last five seconds of the server's own clock", () => {
  const flows = new Flows(),
    at = (second: number, messages: number) =>
      flows.add(
        stats(second, {
          hubs: [{ ...HUB, messages }],
          proxies: [{ ...PROXY, bytes_in: messages * 10, bytes_out: messages * 100 }],
        }),
      );
  expect(at(1, 1000).hubs[0]!.perSecond).toBeNull();
  expect(at(2, 1001).hubs[0]!.perSecond).toBe(1);
  expect(at(3, 1001).hubs[0]!.perSecond).toBe(0.5);
  expect(at(6, 1010).proxies[0]).toMatchObject({ inPerSecond: 20, outPerSecond: 200 });
  // Of what is older than five seconds nothing counts: the ten of the first five are gone.
  for (const second of [7, 8, 9, 10]) at(second, 1010);
  expect(at(11, 1020).hubs[0]!.perSecond).toBe(2);
});

test("a value that came twice, and a pause, leave no rate that means nothing", () => {
  const flows = new Flows(),
    at = (second: number, messages: number) =>
      flows.add(stats(second, { hubs: [{ ...HUB, messages }] })).hubs[0]!.perSecond;
  at(1, 10);
  expect(at(1, 10)).toBeNull();
  expect(at(2, 30)).toBe(20);
  expect(at(100, 5000)).toBeNull();
  expect(at(101, 5007)).toBe(7);
});

test("a restarted server, and a hub that is new, begin anew: no negative rates", () => {
  const flows = new Flows();
  flows.add(stats(100, { hubs: [HUB] }));
  expect(
    flows.add({ ...stats(1, { hubs: [{ ...HUB, messages: 3 }] }), time: 1_101_000 }).hubs[0]!.perSecond,
  ).toBeNull();
  const rows = flows.add({
    ...stats(2, {
      hubs: [
        { ...HUB, messages: 8 },
        { ...HUB, hub: "lobby", messages: 70 },
      ],
    }),
    time: 1_102_000,
  }).hubs;
  expect(rows.map(({ perSecond }) => perSecond)).toEqual([5, null]);
  expect(
    flows.add({ ...stats(3, { hubs: [{ ...HUB, messages: 2 }] }), time: 1_103_000 }).hubs[0]!.perSecond,
  ).toBeNull();
});

test("an older server sends no lists, and a newer one may send what this page does not know", () => {
  expect(new Flows().add(stats(1, {}))).toEqual({ hubs: [], proxies: [] });
  expect(new Flows().add(stats(1, { hubs: {}, proxies: null }))).toEqual({ hubs: [], proxies: [] });
  const {
    hubs: [row, ...others],
  } = new Flows().add(stats(1, { hubs: [null, "options", { state: "live" }, { hub: "bare", colour: "blue" }] }));
  expect(others).toEqual([]);
  expect(row).toEqual({
    name: "bare",
    provider: "",
    state: "",
    word: "",
    clients: 0,
    topics: 0,
    upstreams: 0,
    attempts: 0,
    idleMs: null,
    perSecond: null,
    gaps: 0,
    needy: false,
  });
});

test("the summary begins with what is urgent", () => {
  expect(
    summary(
      hubs({ state: "live" }, { state: "disconnected" }, { state: "down" }, { state: "live" }, { state: "stale" }),
    ),
  ).toBe("1 down, 1 stale, 2 live, 1 idle");
  expect(summary([])).toBe("");
});

test("what is less than one a second is not rounded to nothing", () => {
  expect([0, 0.2, 4.25, 9.96, 1234, 45_600].map(rate)).toEqual(["0", "0.2", "4.3", "10", "1,234", "45.6 k"]);
});
