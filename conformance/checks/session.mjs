//! Owns the checks of sessions: resuming, verdicts, takeover, sizes, rates (R1 to R6, S4, S5, S7).

import { equal, expect } from "../lib/peer.mjs";

const say = (peer, from, to) => {
  for (let id = from; id <= to; id += 1) peer.send({ type: "send", id, data: id });
};

/** The numbers of the next `count` messages. */
const read = async (peer, count) => {
  const seen = [];
  while (seen.length < count) seen.push((await peer.until("message")).data);
  return seen;
};

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

export default [
  {
    ids: ["R1", "R3", "R5"],
    name: "who was cut resumes with every missed event, in order, before anything live, any number of times",
    async run(context) {
      const alice = await context.join("alice");
      let bob = await context.join("bob");
      let seen = bob.welcome.seq;
      for (let round = 0; round < 3; round += 1) {
        bob.cut();
        await alice.until("presence", (frame) => frame.player === "bob" && frame.status === "away");
        say(alice, round * 20 + 1, round * 20 + 20);
        await read(alice, 20);
        const { welcome } = bob;
        bob = await context.resume(bob, seen);
        equal(
          [bob.welcome.resume, bob.welcome.epoch, bob.welcome.state],
          ["continuous", welcome.epoch, undefined],
          "welcome",
        );
        const missed = [];
        while (missed.length < 20) {
          const frame = await bob.next();
          expect(frame !== null && frame.seq > seen, `out of order: ${JSON.stringify(frame)}`);
          seen = frame.seq;
          if (frame.type === "message") missed.push(frame.data);
        }
        equal(missed, range(round * 20 + 1, round * 20 + 20), "the missed messages");
      }
    },
  },
  {
    ids: ["R1", "R5", "S7"],
    name: "a resume in the first frame, while the old socket still seems open, takes over and loses nothing",
    async run(context) {
      const alice = await context.join("alice");
      say(alice, 1, 5);
      const seen = (await alice.until("message", (frame) => frame.data === 3)).seq;
      const again = await context.join("alice", { session: alice.welcome.session, seq: String(seen) });
      equal(again.welcome.resume, "continuous", "the verdict");
      equal(await read(again, 2), [4, 5], "the missed messages");
      equal((await alice.closed()).code, 4000, "the old connection's close code");
    },
  },
  {
    ids: ["R3"],
    name: "a seq that the room has not reached is a reset with a reason, a secret that never was is no resume",
    async run(context) {
      const alice = await context.join("alice");
      alice.cut();
      const ahead = await context.resume(alice, 1_000_000);
      equal(ahead.welcome.resume, "reset", "the verdict");
      expect(typeof ahead.welcome.reason === "string", "a reset has no reason");
      expect("state" in ahead.welcome, "a reset has no state");
      const forged = await context.open(`/ws/${context.game}/bob?session=never-was&seq=0`);
      const frame = await forged.next();
      expect(frame?.resume !== "continuous", "a forged secret continues");
    },
  },
  {
    ids: ["S7"],
    name: "in development mode a connected player's name is refused to another with 4002",
    development: true,
    async run(context) {
      await context.join("alice");
      const intruder = await context.open(`/ws/${context.game}/alice`);
      const { code, error } = await intruder.closed();
      equal(code, 4002, "the close code");
      expect(error !== null, "no error frame before the close");
    },
  },
  {
    ids: ["S4"],
    name: "a message over max_message_bytes closes with 1009, one of that size does not",
    async run(context) {
      const alice = await context.join("alice");
      const { max_message_bytes: max } = alice.welcome;
      const frame = (bytes) => {
        const empty = JSON.stringify({ type: "ping", nonce: "" }).length;
        return { type: "ping", nonce: "x".repeat(bytes - empty) };
      };
      alice.send(frame(max));
      await alice.until("pong");
      alice.send(frame(max + 1));
      equal((await alice.closed()).code, 1009, "the close code");
    },
  },
  {
    ids: ["S5"],
    name: "a flood closes with 4029, and the session may be resumed",
    async run(context) {
      const { context: own, stop } = await context.server({ MESSAGE_RATE: "10", MESSAGE_BURST: "20" });
      try {
        const alice = await own.join("alice");
        for (let count = 0; count < 200; count += 1) alice.send({ type: "pong" });
        equal((await alice.closed()).code, 4029, "the close code");
        equal((await own.resume(alice, alice.welcome.seq)).welcome.resume, "continuous", "the verdict");
      } finally {
        await stop();
      }
    },
  },
  {
    ids: ["R4", "R6"],
    name: "a seat ends with its grace, and an empty room with its lingering",
    async run(context) {
      const { context: own, stop } = await context.server({ RECONNECT_GRACE: "1", ROOM_LINGER: "1" });
      try {
        const [alice, bob] = [await own.join("alice"), await own.join("bob")];
        bob.cut();
        const left = await alice.until("presence", (frame) => frame.status === "left");
        equal([left.player, left.reason], ["bob", "timeout"], "presence");
        const { epoch } = alice.welcome;
        alice.send({ type: "leave" });
        await alice.closed();
        for (const end = Date.now() + 10_000; ;) {
          const again = await own.join("alice");
          if (again.welcome.epoch !== epoch) break;
          expect(Date.now() < end, "the room is never disposed of");
          again.send({ type: "leave" });
          await again.closed();
          await new Promise((resolve) => setTimeout(resolve, 1500));
        }
      } finally {
        await stop();
      }
    },
  },
];
