//! Owns the proof that a room's list is right after it was a crowd, against the real server.
//! The server is found as in `real.test.ts`.

import { WebSocket } from "ws";
import { describe, expect, it } from "vitest";
import { connect } from "../src/index.js";
import { Server, binary, until } from "./server.js";

describe.skipIf(!binary && !process.env.CI)("the real server", () => {
  it("s9a a room that grew to a crowd and shrank again has its list again, and keeps it", async () => {
    const server = await Server.start({ PRESENCE_LIMIT: "10" });
    const enter = (player: string) => connect(server.url, { game: "crowd", player, WebSocket }).join();
    const alice = await enter("alice");
    const others = [];
    for (let n = 1; n <= 12; n++) others.push(await enter(`p${n}`));
    await until(() => alice.playerCount === 13);
    expect(alice.players.size, "a crowd has no list").toBe(0);
    // Nine tenths of ten: with the ninth of those who stay there is one again.
    for (const room of others.splice(0, 4)) await room.leave();
    await until(() => alice.players.size === 9);
    expect([...alice.players.keys()].sort()).toEqual(["alice", ...others.map(({ player }) => player)].sort());
    expect(alice.playerCount).toBe(9);
    const late = await enter("late");
    await others[0]?.leave();
    await until(() => alice.players.has("late") && !alice.players.has("p5"));
    expect(alice.playerCount).toBe(9);
    expect(new Map(late.players)).toEqual(new Map(alice.players));
    await Promise.all([alice, late, ...others.slice(1)].map((room) => room.leave()));
  });
});
