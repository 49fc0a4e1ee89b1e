//! Owns the checks of the amended clauses: numbers, poison, audiences, crowds, names, bans, bounds (N1, N2, S1a, S5a, S9, S9a, S11, S13, S14).

import { equal, expect } from "../lib/peer.mjs";
import { withServer } from "../lib/context.mjs";

export default [
  {
    ids: ["N1"],
    name: "a number with a zero fraction is the integer it is",
    async run(context) {
      const alice = await context.join("alice");
      alice.send('{"type":"send","id":1.0,"data":1}');
      equal((await alice.until("message")).id, 1, "the id of 1.0");
      alice.send('{"type":"send","id":2e0,"to":null,"data":2}');
      equal((await alice.until("message")).id, 2, "the id of 2e0, with a null field");
      alice.send('{"type":"send","id":2.5,"data":3}');
      equal((await alice.until("error")).code, "invalid_field", "the code for 2.5");
    },
  },
  {
    ids: ["N2"],
    name: "what common parsers refuse is refused at its sender",
    async run(context) {
      const [alice, bob] = [await context.join("alice"), await context.join("bob")];
      for (const data of ['"\\ud800"', "1e999", '{"a":"\\udc00x"}']) {
        alice.send(`{"type":"send","data":${data}}`);
        equal((await alice.until("error")).code, "bad_json", `the code for ${data}`);
      }
      equal(
        (await bob.flush()).filter((frame) => frame.type === "message"),
        [],
        "bob's messages",
      );
    },
  },
  {
    ids: ["S1a"],
    name: "unknown names in to are dropped, repeated ones count once, 501 are refused",
    async run(context) {
      const [alice, bob] = [await context.join("alice"), await context.join("bob")];
      alice.send({ type: "send", id: 1, to: ["bob", "bob", "nobody"], data: 1 });
      await bob.until("message");
      equal((await bob.flush()).length, 0, "what bob gets besides");
      alice.send({ type: "send", id: 2, to: Array.from({ length: 501 }, (_, at) => `p${at}`), data: 2 });
      equal((await alice.until("error")).code, "invalid_field", "the code for 501 names");
    },
  },
  {
    ids: ["S5a"],
    name: "bytes count towards a rate of their own",
    run: withServer({ BYTE_RATE: "1k", BYTE_BURST: "64k", MAX_MESSAGE_BYTES: "65536" }, async (context) => {
      const alice = await context.join("alice");
      for (let count = 0; count < 4; count += 1) alice.send({ type: "pong", filler: "x".repeat(30_000) });
      equal((await alice.closed()).code, 4029, "the close code");
    }),
  },
  {
    ids: ["S9", "S9a"],
    name: "a crowd is a number, and when it is over everybody is told who is there",
    run: withServer({ PRESENCE_LIMIT: "10" }, async (context) => {
      const alice = await context.join("alice");
      const others = [];
      for (let number = 0; number < 10; number += 1) others.push(await context.join(`p${number}`));
      equal((await alice.until("presence", (frame) => frame.count === 11)).seq, undefined, "the seq of a count");
      const late = await context.join("late");
      equal([late.welcome.players, late.welcome.player_count], [{}, 12], "the welcome into a crowd");
      for (const peer of [late, ...others.slice(0, 2)]) peer.send({ type: "leave" });
      const over = await alice.until("presence", (frame) => frame.players);
      equal([over.count, Object.keys(over.players).length, over.seq], [9, 9, undefined], "the end of the crowd");
    }),
  },
  {
    ids: ["S11"],
    name: "a display name is seen by those who ask for names",
    async run(context) {
      const asking = await context.join("asking", { names: "1" });
      const plain = await context.join("plain");
      await context.join("bob", { name: "Bob 🐺" });
      equal((await asking.until("presence", (frame) => frame.player === "bob")).name, "Bob 🐺", "the name");
      equal((await plain.until("presence", (frame) => frame.player === "bob")).name, undefined, "the name for others");
    },
  },
  {
    ids: ["S13"],
    name: "a ban keeps a player out, also after a restart, until it is lifted",
    run: withServer({}, async (context, server) => {
      const alice = await context.join("alice");
      const kick = (at, ban_s) => at.api("POST", `/api/games/${context.game}/kick`, { player: "alice", ban_s });
      await kick(context, 600);
      equal((await alice.closed()).code, 4010, "the close code");
      await server.kill();
      await server.start();
      const again = await (await server.context.open(`/ws/${context.game}/alice`)).closed();
      equal([again.code, again.error?.code], [4010, "banned"], "the close after a restart");
      await kick(server.context, 0);
      await server.context.join("alice", {}, context.game);
    }),
  },
  {
    ids: ["S14"],
    name: "one address opens as many rooms as it may, and the next one is 1013 overloaded",
    run: withServer({ MAX_ROOMS_PER_ADDRESS: "2" }, async (context) => {
      await context.join("alice", {}, "room-1");
      await context.join("alice", {}, "room-2");
      const { code, error } = await (await context.open("/ws/room-3/alice")).closed();
      equal([code, error?.code], [1013, "overloaded"], "the close and the error");
      await context.join("bob", {}, "room-1");
    }),
  },
  {
    ids: ["S6"],
    name: "a client that does not read is closed with 4008 and may resume; others do not wait",
    run: withServer(
      {
        OUTBOX_BYTES: "65536",
        MESSAGE_RATE: "100000",
        MESSAGE_BURST: "100000",
        BYTE_RATE: "1024m",
        BYTE_BURST: "1024m",
      },
      async (context, server) => {
        const [alice, bob] = [await context.join("alice"), await context.join("bob")];
        if (!bob.socket._socket) return;
        bob.socket._socket.pause();
        // Alice reads what she sends, so that she is never behind herself.
        const data = "x".repeat(30_000);
        for (let id = 1, isOver = false; !isOver; id += 1) {
          expect(id < 2000, "bob is never closed");
          alice.send({ type: "send", id, to: ["bob"], data });
          for (let isMine = false; !isMine;) {
            const frame = await alice.next();
            expect(frame !== null, `alice is closed with ${alice.ended?.code}`);
            isMine = frame.type === "message";
            isOver ||= frame.type === "presence" && frame.player === "bob" && frame.status === "away";
          }
        }
        bob.socket._socket.resume();
        equal((await bob.closed()).code, 4008, "the close code");
        const again = await server.context.resume(bob, bob.welcome.seq, context.game);
        expect(["continuous", "snapshot"].includes(again.welcome.resume), `the verdict is ${again.welcome.resume}`);
      },
    ),
  },
];
