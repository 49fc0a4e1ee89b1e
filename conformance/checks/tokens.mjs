//! Owns the checks of tokens and of what an address or a directory may hold (A5a, A11b to A11e, D2).

import { withServer } from "../lib/context.mjs";
import { Deviation, equal } from "../lib/peer.mjs";
import { SECRET, token } from "../lib/token.mjs";

const now = () => Math.floor(Date.now() / 1000);
const TOKENS = { JWT_SECRET: SECRET };

export default [
  {
    ids: ["A5a"],
    name: "taking over one's own seat needs no free place, and nobody else gets one",
    run: withServer({ MAX_CONNECTIONS_PER_IP: "1" }, async (context) => {
      const alice = await context.join("alice");
      const again = await context.resume(alice, alice.welcome.seq);
      equal([again.welcome.resume, (await alice.closed()).code], ["continuous", 4000], "the takeover");
      const other = await (await context.open(`/ws/${context.game}/bob`)).closed();
      equal(other.code, 1008, "the close code of another");
    }),
  },
  {
    ids: ["A11b", "A13"],
    name: "a token that has just ended is admitted and said to end, one that ended long ago is not",
    run: withServer(TOKENS, async (context) => {
      const peer = await context.open(`/ws/${context.game}/alice?token=${token({ sub: "alice", exp: now() - 5 })}`);
      equal((await peer.next())?.type, "welcome", "the first frame");
      await peer.until("token_expiring");
      const late = await context.open(`/ws/${context.game}/bob?token=${token({ sub: "bob", exp: now() - 100 })}`);
      equal((await late.closed()).code, 4003, "the close code of an old token");
    }),
  },
  {
    ids: ["A11c"],
    name: "roles come from the claim that is set, as they are mapped, and any other is a player",
    run: withServer({ ...TOKENS, JWT_ROLE_CLAIM: "app.role", JWT_ROLES: "watching=spectator" }, async (context) => {
      for (const [role, expected] of [
        ["watching", "spectator"],
        ["anything", "player"],
      ]) {
        const text = token({ sub: role, app: { role } });
        const peer = await context.open(`/ws/${context.game}/${role}?token=${text}`);
        equal((await peer.next())?.role, expected, `the role of ${role}`);
      }
    }),
  },
  {
    ids: ["A11d"],
    name: "a player's claim that is no id is written as one",
    run: withServer({ ...TOKENS, JWT_PLAYER_CLAIM: "uid" }, async (context) => {
      const text = token({ uid: "auth0|5f" });
      const peer = await context.open(`/ws/${context.game}/auth0~7C5f?token=${text}`);
      equal((await peer.next())?.player, "auth0~7C5f", "the player");
      const wrong = await context.open(`/ws/${context.game}/auth0-5f?token=${text}`);
      equal((await wrong.closed()).code, 4003, "the close code under another name");
    }),
  },
  {
    ids: ["A11e"],
    name: "an admin's token with a game opens that game and no list",
    run: withServer(TOKENS, async (context) => {
      const peer = await context.open(`/ws/${context.game}/alice?token=${token({ sub: "alice" })}`);
      await peer.until("welcome");
      const admin = { authorization: `Bearer ${token({ sub: "ops", role: "admin", game: context.game })}` };
      const status = async (path) => (await context.http("GET", path, { headers: admin })).status;
      equal(
        [await status(`/api/games/${context.game}`), await status("/api/games/another"), await status("/api/games")],
        [200, 403, 403],
        "its own game, another, the list",
      );
    }),
  },
  {
    ids: ["D2"],
    name: "a second process on a directory that is in use exits with 1, and the first is unharmed",
    run: withServer({}, async (context, server) => {
      const alice = await context.join("alice");
      try {
        const second = await context.server({ DATA_DIR: server.directory, DATA_DIR_TIMEOUT: "0" });
        await second.stop();
      } catch (error) {
        equal(error.message, "the server exits with 1", "the second process");
        alice.send({ type: "send", id: 1, data: "still here" });
        await alice.until("message");
        return;
      }
      throw new Deviation("two processes serve one directory");
    }),
  },
];
