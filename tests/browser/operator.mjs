//! Owns a server that only the dashboard sees: any number of rooms, a busy hub, whatever token. It never leaves the browser.
//! Used by dashboard.test.mjs for what no real server can be brought to in a test's time: 10,000 rooms, a day's figures.

const LOGICS = ["relay", "relay", "relay", "tic-tac-toe"];

/** Rooms that look like real ones; the same for the same number. */
export function manyRooms(count) {
  return Array.from({ length: count }, (_, at) => {
    const players = (at * 7) % 9,
      logic = LOGICS[at % 4];
    return {
      game: `${logic === "tic-tac-toe" ? "tic-tac-toe-" : "table-"}${String(at).padStart(5, "0")}`,
      players,
      connected: Math.max(0, players - (at % 5 === 0 ? 1 : 0)),
      spectators: at % 13 === 0 ? 2 : 0,
      seq: (at * 7919) % 100_003,
      epoch: `e${at}`,
      age_ms: ((at * 104_729) % 90_000) * 1000,
      bytes: (at * 3571) % 900_000,
      events_kept: (at * 31) % 2000,
      logic,
      durability: at % 10 ? "journal" : "memory",
    };
  });
}

/** Hubs in every state, and proxies, as they are after so many seconds; for `feeds` below. */
export function manyFeeds(second) {
  const hub = (name, provider, state, more = {}) => ({
    hub: name,
    provider,
    enabled: true,
    state,
    clients: 0,
    topics: 0,
    upstream_connections: 0,
    reconnect_attempts: 0,
    last_message_age_ms: null,
    messages: 0,
    gaps: 0,
    ...more,
  });
  return {
    hubs: [
      hub("crypto", "binance", "stale", {
        clients: 212,
        topics: 40,
        upstream_connections: 1,
        reconnect_attempts: 1,
        last_message_age_ms: 41_000,
        messages: 812_345,
        gaps: 2,
      }),
      hub("equities-of-the-whole-wide-world", "alpaca", "connecting", { clients: 4, topics: 9 }),
      hub("futures", "kraken", "down", {
        clients: 37,
        topics: 12,
        reconnect_attempts: 6,
        last_message_age_ms: 312_000,
        messages: 51_200,
        gaps: 3,
      }),
      hub("indices", "massive-indices", "disconnected", { enabled: false }),
      hub("lobby", "bus", "live", {
        clients: 1800,
        topics: 25,
        last_message_age_ms: 2400,
        messages: 900 + Math.floor(second / 5),
      }),
      hub("options", "massive-options", "live", {
        clients: 9640,
        topics: 311,
        upstream_connections: 1,
        last_message_age_ms: 40,
        messages: 12_000_000 + second * 18_400,
        gaps: 1,
      }),
      hub("stocks", "finnhub", "disconnected", { last_message_age_ms: 5_400_000, messages: 3400, gaps: 1 }),
    ],
    proxies: [
      {
        proxy: "openai",
        enabled: true,
        sessions: 14,
        sessions_total: 2310,
        bytes_in: 4e9 + second * 672_000,
        bytes_out: 9e9 + second * 1_340_000,
        budget_closes: 12,
      },
      {
        proxy: "transcriber",
        enabled: false,
        sessions: 0,
        sessions_total: 0,
        bytes_in: 0,
        bytes_out: 0,
        budget_closes: 0,
      },
    ],
  };
}

/** Figures of a server that has been busy all day; each call is a second later. */
function clockwork(rooms, seconds, feeds) {
  const begin = Date.now() - seconds * 1000,
    totals = { in: 4e8, out: 16e8, cpu: 52_000, bytes: 9e10 },
    upper = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, null],
    cumulative = upper.map(() => 0);
  let second = 0;
  return () => {
    second += 1;
    const wave = (period, phase = 0) => Math.sin((second / period) * 2 * Math.PI + phase),
      rate = 5200 + 900 * wave(140) + 350 * wave(23) + 120 * wave(5);
    totals.in += Math.round(rate);
    totals.out += Math.round(rate * (4 + 0.3 * wave(31)));
    totals.cpu += 0.55 + 0.14 * wave(140) + 0.03 * wave(7);
    totals.bytes += rate * 170;
    [0.36 - 0.06 * wave(140), 0.7, 0.93, 0.982 - 0.004 * wave(23), 0.996, 1, 1].forEach((share, at) => {
      cumulative[at] += Math.round(rate * share);
    });
    return {
      time: begin + second * 1000,
      uptime_ms: 86_400_000 + second * 1000,
      version: "0.4.0",
      connections: Math.round(24_000 + 1800 * wave(200) + 120 * wave(13)),
      sessions: Math.round(25_200 + 1700 * wave(200, -0.2)),
      rooms: rooms + Math.round(rooms * 0.04 * wave(160)),
      addresses: 8123,
      events_in: totals.in,
      events_out: totals.out,
      bytes_in: Math.round(totals.bytes),
      bytes_out: Math.round(totals.bytes * 5),
      latency: { count: cumulative.at(-1), buckets: upper.map((bound, at) => [bound, cumulative[at]]) },
      memory_bytes: Math.round(410e6 + 30e6 * wave(300) + 4e6 * wave(21)),
      cpu_seconds: totals.cpu,
      open_files: 24_410,
      outbox_bytes: Math.round(70_000 + 60_000 * wave(17)),
      outbox_frames: Math.round(300 + 280 * wave(17)),
      store: {
        failing: false,
        groups: 18e6 + second * 210,
        batches: 5e6 + second * 60,
        bytes: Math.round(totals.bytes * 1.4),
      },
      refusals: { connection_limit: 412, auth_failed: 96, rate_limit: 61, invalid_origin: 9, auth_timeout: 4 },
      disconnects: {
        client_closed: 18_204,
        connection_lost: 6120,
        heartbeat_timeout: 873,
        outbox_full: 41,
        leave: 9310,
        rate_exceeded: 7,
      },
      ...feeds?.(second),
    };
  };
}

const EVENTS = [
  ["WS_CONNECTION_ESTABLISHED", "info"],
  ["WS_CONNECTION_CLOSED", "info"],
  ["WS_SESSION_RESUMED", "info"],
  ["WS_CONNECTION_BLOCKED_AUTH_FAILED", "warn"],
  ["WS_CONNECTION_BLOCKED_RATE_LIMIT", "warn"],
];

function line(at) {
  const [event, level] = EVENTS[(at * 7) % EVENTS.length],
    closed = event === "WS_CONNECTION_CLOSED";
  return {
    time: Date.now() - (400 - at) * 700,
    level,
    event,
    game: `table-${String((at * 37) % 10_000).padStart(5, "0")}`,
    player: ["otter", "finch", "heron", "lynx"][at % 4],
    address: `203.0.113.${at % 250}`,
    ...(closed ? { cause: "client_closed", code: 1001, duration_ms: at * 911 } : {}),
  };
}

/**
 * Answers the page's API calls and its hub. `calls` collects what it was asked to do; `secret` is the token it wants.
 * `feeds(second)` gives the lists of hubs and proxies; without it this is a server from before there were any.
 * `push(topic, data)` says something live.
 */
export async function fakeOperator(page, { rooms = manyRooms(10_000), secret, feeds } = {}) {
  const calls = [],
    sockets = new Set();
  const closed = new Set();
  await page.route(
    (url) => url.pathname.startsWith("/api/games"),
    async (route) => {
      const request = route.request(),
        url = new URL(request.url()),
        path = url.pathname.split("/").slice(3).map(decodeURIComponent);
      const answer = (status, body) =>
        route.fulfill({ status, contentType: "application/json", body: JSON.stringify(body) });
      if (secret && (await request.headerValue("authorization")) !== `Bearer ${secret}`)
        return answer(401, { error: { code: "unauthorized", message: "a token is needed" } });
      if (path.length === 0) {
        const after = url.searchParams.get("after") ?? "",
          limit = Number(url.searchParams.get("limit") ?? 1000);
        const rest = rooms
          .filter(({ game }) => game > after && !closed.has(game))
          .sort((a, b) => (a.game < b.game ? -1 : 1));
        return answer(200, { games: rest.slice(0, limit), next: rest.length > limit ? rest[limit - 1].game : null });
      }
      const room = rooms.find(({ game }) => game === path[0]);
      if (!room || closed.has(room.game)) return answer(404, { error: { code: "not_found", message: "no such room" } });
      if (request.method() !== "GET") {
        calls.push({
          method: request.method(),
          path,
          body: request.postDataJSON(),
          key: await request.headerValue("idempotency-key"),
        });
        if (request.method() === "DELETE") closed.add(room.game);
        return answer(200, request.method() === "DELETE" ? {} : { seq: room.seq + 1 });
      }
      if (path[1] === "events") {
        const after = Number(url.searchParams.get("after")),
          last = room.seq;
        const events = Array.from({ length: Math.min(120, Math.max(0, last - after)) }, (_, at) => last - 119 + at)
          .filter((seq) => seq > after)
          .map((seq) =>
            seq % 5
              ? {
                  type: "message",
                  seq,
                  from: seq % 2 ? "otter" : "finch",
                  data: { chat: `line ${seq}` },
                  time: Date.now() - (last - seq) * 900,
                  ...(seq % 17 ? {} : { only: ["otter", "finch"] }),
                }
              : { type: "presence", seq, player: "heron", status: "away", time: Date.now() },
          );
        return answer(200, { events, first_seq: 1, seq: last });
      }
      return answer(200, {
        ...room,
        connected: 2,
        first_seq: Math.max(1, room.seq - room.events_kept),
        state: {
          board: [null, "X", null, null, "O", null, null, null, null],
          marks: { X: "otter", O: "finch" },
          turn: "X",
          winner: null,
          long: Array.from({ length: 250 }, (_, at) => at),
        },
        players: {
          otter: {
            status: "joined",
            last_id: 41,
            queue_bytes: 0,
            queue_frames: 0,
            latency_ms: 12.4,
            connected_ms: 63_000,
          },
          finch: {
            status: "joined",
            last_id: 17,
            queue_bytes: 20_480,
            queue_frames: 31,
            latency_ms: 148,
            connected_ms: 9000,
          },
          heron: { status: "away", last_id: 3, queue_bytes: 0, queue_frames: 0, latency_ms: null, connected_ms: null },
        },
      });
    },
  );
  await page.routeWebSocket(/\/ws\/_server/, (socket) => {
    const seconds = 290,
      next = clockwork(rooms.length, seconds, feeds);
    let isIn = false;
    const say = (frame) => socket.send(JSON.stringify(frame));
    const welcome = () => {
      isIn = true;
      say({
        type: "welcome",
        protocol: 1,
        hub: "_server",
        topics: ["stats", "security"],
        heartbeat: { interval_ms: 30_000, timeout_ms: 10_000 },
      });
    };
    if (!secret) setTimeout(welcome, 5);
    const timer = setInterval(() => {
      if (isIn && sockets.has(socket)) say({ type: "data", topic: "stats", data: next() });
    }, 1000).unref();
    socket.onClose(() => {
      clearInterval(timer);
      sockets.delete(socket);
    });
    socket.onMessage((text) => {
      const frame = JSON.parse(text);
      if (frame.type === "ping") say({ type: "pong", nonce: frame.nonce, time: Date.now() });
      if (frame.type === "auth" && !isIn) {
        if (!secret || frame.token === secret) return isIn || welcome();
        say({ type: "error", code: "token_malformed", message: "the token is no JWT" });
        return socket.close({ code: 4003, reason: "auth_failed" });
      }
      if (frame.type !== "subscribe") return;
      sockets.add(socket);
      say({ type: "subscribed", topics: frame.topics, feed: { state: "live" } });
      if (frame.topics.includes("security"))
        say({
          type: "data",
          topic: "security",
          seq: 1,
          snapshot: true,
          data: { lines: Array.from({ length: 200 }, (_, at) => line(at)) },
        });
      // The last minutes in one breath: the charts are full at once.
      if (frame.topics.includes("stats"))
        for (let at = 0; at < seconds; at += 1) say({ type: "data", topic: "stats", snapshot: at === 0, data: next() });
    });
  });
  return {
    calls,
    push: (topic, data) => sockets.forEach((socket) => socket.send(JSON.stringify({ type: "data", topic, data }))),
  };
}
