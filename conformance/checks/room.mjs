//! Owns the checks of a room: frames, order, ids, audiences, state, presence, spectators (P2, P4, S1, S2, S8, S10, section 3).

import { equal, expect } from "../lib/peer.mjs";

export default [
  {
    ids: ["P4", "R2"],
    name: "a player is welcomed first, with everything that a client needs, and a ping is answered",
    async run(context) {
      const alice = await context.join("alice");
      const { welcome } = alice;
      equal(
        [welcome.protocol, welcome.game, welcome.player, welcome.resume],
        [1, context.game, "alice", "new"],
        "welcome",
      );
      for (const field of ["epoch", "session"]) expect(typeof welcome[field] === "string", `welcome has no ${field}`);
      for (const field of ["seq", "last_id", "grace_ms", "max_message_bytes"]) {
        expect(Number.isInteger(welcome[field]), `welcome has no ${field}`);
      }
      expect(welcome.heartbeat?.interval_ms > 0 && welcome.heartbeat?.timeout_ms > 0, "welcome has no heartbeat");
      expect(welcome.players?.alice !== undefined, "welcome does not list its own player");
      expect("state" in welcome, "a new player gets no state");
      alice.send({ type: "ping", nonce: { any: [1, null] } });
      const pong = await alice.until("pong");
      equal(pong.nonce, { any: [1, null] }, "nonce");
      expect(Math.abs(pong.time - Date.now()) < 86_400_000, `time is ${pong.time}`);
    },
  },
  {
    ids: ["S1"],
    name: "members see the same events in the same order, and a sender its own",
    async run(context) {
      const [alice, bob] = [await context.join("alice"), await context.join("bob")];
      for (let id = 1; id <= 50; id += 1) {
        alice.send({ type: "send", id, data: `a${id}` });
        bob.send({ type: "send", id, data: `b${id}` });
      }
      const read = async (peer) => {
        const seen = [];
        while (seen.length < 100) seen.push(await peer.until("message"));
        return seen.map(({ seq, from, id, data }) => [seq, from, id, data]);
      };
      const [first, second] = [await read(alice), await read(bob)];
      equal(first, second, "what alice and bob saw");
      expect(
        first.every(([seq], at) => at === 0 || seq > first[at - 1][0]),
        "seq does not rise",
      );
      for (const name of ["alice", "bob"]) {
        const ids = first.filter(([, from]) => from === name).map(([, , id]) => id);
        expect(
          ids.every((id, at) => id === at + 1),
          `the messages of ${name} are out of order`,
        );
      }
    },
  },
  {
    ids: ["S2"],
    name: "an id that was applied is not applied again, and is acknowledged with its seq",
    async run(context) {
      const alice = await context.join("alice");
      alice.send({ type: "send", id: 5, data: "once" });
      const { seq } = await alice.until("message");
      alice.send({ type: "send", id: 5, data: "again" });
      equal((await alice.until("ack")).seq, seq, "the ack's seq");
      equal(
        (await alice.flush()).filter((frame) => frame.type === "message"),
        [],
        "messages after the repeat",
      );
      alice.send({ type: "send", id: 0, data: "no id" });
      equal((await alice.until("error")).code, "invalid_field", "the code for id 0");
    },
  },
  {
    ids: ["P2"],
    name: "what is wrong gets an error and loses nothing, unknown fields are ignored",
    async run(context) {
      const alice = await context.join("alice");
      const cases = [
        ['{"type":"nonsense"}', "unknown_type"],
        ["{", "bad_json"],
        ["[1]", "bad_json"],
        ['{"type":"send"}', "invalid_field"],
        ['{"type":"patch","patch":[1]}', "invalid_field"],
      ];
      for (const [text, code] of cases) {
        alice.send(text);
        equal((await alice.until("error")).code, code, `the code for ${text}`);
      }
      alice.send(new Uint8Array([1, 2, 3]));
      equal((await alice.until("error")).code, "unsupported", "the code for a binary frame");
      alice.send({ type: "send", id: 1, data: 1, unknown: true });
      equal((await alice.until("message")).id, 1, "a message with an unknown field");
    },
  },
  {
    ids: ["P2"],
    name: "ten wrong frames in ten seconds close with 1008",
    async run(context) {
      const alice = await context.join("alice");
      for (let count = 0; count < 10; count += 1) alice.send("{");
      equal((await alice.closed()).code, 1008, "the close code");
    },
  },
  {
    ids: ["S1"],
    name: "a message to some reaches them and its sender alone",
    async run(context) {
      const [alice, bob, carol] = [await context.join("alice"), await context.join("bob"), await context.join("carol")];
      alice.send({ type: "send", id: 1, to: ["bob"], data: "secret" });
      equal((await bob.until("message")).data, "secret", "bob's message");
      equal((await alice.until("message")).data, "secret", "alice's message");
      equal(
        (await carol.flush()).filter((frame) => frame.type === "message"),
        [],
        "carol's messages",
      );
    },
  },
  {
    ids: ["S8"],
    name: "a volatile value is shown without seq and id, and is not replayed",
    async run(context) {
      const [alice, bob] = [await context.join("alice"), await context.join("bob")];
      alice.send({ type: "send", volatile: "cursor", data: [1, 2] });
      const value = await bob.until("message");
      equal(
        [value.from, value.volatile, value.data, value.seq, value.id],
        ["alice", "cursor", [1, 2], undefined, undefined],
        "value",
      );
      const { seq } = bob.welcome;
      bob.cut();
      await alice.until("presence", (frame) => frame.player === "bob" && frame.status === "away");
      const again = await context.resume(bob, seq);
      const missed = await again.flush();
      expect(!missed.some((frame) => frame.volatile), "the value is replayed");
    },
  },
  {
    ids: ["S1"],
    name: "a patch merges as RFC 7396 says, and if_seq refuses a conflict",
    async run(context) {
      const [alice, bob] = [await context.join("alice"), await context.join("bob")];
      alice.send({ type: "patch", id: 1, patch: { a: { b: 1, c: [1] }, d: "x" } });
      const { seq } = await bob.until("patch");
      bob.send({ type: "patch", id: 1, patch: { a: { b: null }, d: 2 } });
      await bob.until("patch", (frame) => frame.from === "bob");
      alice.send({ type: "patch", id: 2, patch: { d: 3 }, if_seq: seq });
      equal((await alice.until("error")).code, "conflict", "the code");
      equal((await context.join("carol")).welcome.state, { a: { c: [1] }, d: 2 }, "the state");
    },
  },
  {
    ids: ["R4", "S1"],
    name: "presence tells of joining, being away, coming back and leaving",
    async run(context) {
      const alice = await context.join("alice");
      const bob = await context.join("bob");
      const status = async () => {
        const { player, status, reason } = await alice.until("presence", (frame) => frame.player === "bob");
        return [player, status, reason];
      };
      equal(await status(), ["bob", "joined", undefined], "presence");
      bob.cut();
      equal(await status(), ["bob", "away", undefined], "presence");
      const again = await context.resume(bob, bob.welcome.seq);
      equal(await status(), ["bob", "back", undefined], "presence");
      again.send({ type: "leave" });
      equal((await again.closed()).code, 1000, "the close code of leave");
      equal(await status(), ["bob", "left", "leave"], "presence");
    },
  },
  {
    ids: ["S10"],
    name: "a spectator sees what is for everyone, is not present, and may not act",
    async run(context) {
      const alice = await context.join("alice");
      const watcher = await context.join("watcher", { spectate: "1" });
      equal(watcher.welcome.role, "spectator", "the role");
      expect(!("watcher" in watcher.welcome.players), "the spectator is a player");
      alice.send({ type: "send", id: 1, data: "for all" });
      equal((await watcher.until("message")).data, "for all", "the message");
      watcher.send({ type: "send", data: 1 });
      equal((await watcher.until("error")).code, "forbidden", "the code");
      expect(!(await alice.flush()).some((frame) => frame.player === "watcher"), "alice is told of the spectator");
    },
  },
];
