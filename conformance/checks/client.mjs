//! Owns the scenarios for clients: a server that cuts, refuses, stalls, lies and deploys (C1, R1, R3, S2, section 4).

import { equal, expect } from "../lib/peer.mjs";

const settle = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The data of the next `count` messages that the client reports. */
const read = async (client, count) => {
  const seen = [];
  while (seen.length < count) seen.push((await client.until("message")).data);
  return seen;
};

export default [
  {
    ids: ["P4", "S2"],
    name: "sends carry rising ids and are confirmed with their seq; unknown frames and fields are ignored",
    async run({ room, client }) {
      client.do("send", { data: "a", ref: 1 });
      client.do("send", { data: "b", ref: 2 });
      equal([(await client.until("confirmed")).seq, (await client.until("confirmed")).seq], [1, 2], "the receipts");
      const ids = room.visits[0].frames.filter(({ type }) => type === "send").map(({ id }) => id);
      expect(Number.isInteger(ids[0]) && ids[0] > 0 && ids[1] > ids[0], `the ids are ${ids}`);
      room.show({ type: "from-the-future", anything: [1] });
      room.show({ ...room.append("other", "c"), also: { from: "the future" } });
      await client.until("message", ({ data }) => data === "c");
    },
  },
  {
    ids: ["R1", "R3", "S2"],
    name: "after a cut it resumes with secret and seq, sees what it missed once, and sends again under the same ids",
    async run({ room, client }) {
      client.do("send", { data: "a", ref: 1 });
      await client.until("confirmed");
      room.answers = false;
      client.do("send", { data: "stored", ref: 2 });
      client.do("send", { data: "lost", ref: 3 });
      const sends = () => room.visits[0].frames.filter(({ type }) => type === "send");
      const [, stored, lost] = await room.until(() => sends().length >= 3 && sends(), "sends three messages");
      // The server takes one of them, and the line breaks before anybody is told.
      room.append("player", "stored", stored.id);
      room.append("other", "meanwhile");
      room.answers = true;
      room.cut();
      const visit = await room.visit(2);
      equal([visit.session, visit.seq], ["secret-1", 1], "what it shows");
      const again = await room.sent(visit, lost.id);
      equal(again[0].data, "lost", "what it sends again");
      expect(
        !visit.frames.some((frame) => frame.type === "send" && frame.id === stored.id),
        "it sends again what is applied",
      );
      equal((await client.until("resumed")).verdict, "continuous", "the verdict that it reports");
      equal(await read(client, 3), ["stored", "meanwhile", "lost"], "the messages that it reports");
    },
  },
  {
    ids: ["C1"],
    name: "a server that cannot be reached is asked again until it is there",
    async run({ room, client }) {
      await room.down();
      await settle(700);
      await room.listen();
      const visit = await room.visit(2);
      equal(visit.session, "secret-1", "the secret that it shows");
      client.do("send", { data: "after", ref: 1 });
      await client.until("confirmed");
    },
  },
  {
    ids: ["D4", "C1"],
    name: "a deploy: it comes back at its slot, not before",
    async run({ room }) {
      const told = Date.now();
      room.show({ type: "going_away", code: 1012, reconnect_after_ms: 800 });
      room.close(1012, "restarting");
      const visit = await room.visit(2);
      expect(visit.at - told >= 780, `it comes back after ${visit.at - told} ms`);
      equal(visit.session, "secret-1", "the secret that it shows");
    },
  },
  ...[1000, 1008, 1009, 4000, 4002, 4003, 4004, 4010, 4500, 4999].map((code) => ({
    ids: ["C1"],
    name: `close ${code} stops it`,
    async run({ room, client }) {
      room.close(code);
      equal((await client.until("closed")).code, code, "the code that it reports");
      await settle(700);
      equal(room.visits.length, 1, "its connections");
    },
  })),
  ...[1001, 1011, 1013, 4008, 4009, 4029, 4100].map((code) => ({
    ids: ["C1"],
    name: `after close ${code} it resumes`,
    async run({ room }) {
      room.close(code);
      equal((await room.visit(2)).session, "secret-1", "the secret that it shows");
    },
  })),
  {
    ids: ["R3"],
    name: "a reset is reported, and what was not confirmed is not lost silently",
    async run({ room, client }) {
      client.do("send", { data: "a", ref: 1 });
      await client.until("confirmed");
      Object.assign(room, { verdict: "reset", epoch: "epoch-2", seq: 0, lastId: 0, log: [], answers: true });
      room.cut();
      await room.visit(2);
      equal((await client.until("resumed")).verdict, "reset", "the verdict that it reports");
    },
  },
  {
    ids: ["S1"],
    name: "an event that the server shows twice is reported once",
    async run({ room, client }) {
      const event = room.append("other", "once");
      room.show(event);
      room.show(event);
      room.show(room.append("other", "end"));
      equal(await read(client, 2), ["once", "end"], "the messages that it reports");
    },
  },
];
