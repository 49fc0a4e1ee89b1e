//! Owns the command of the client half: it runs scenarios against a client program, and prints a verdict for each.

import scenarios from "./checks/client.mjs";
import { Client } from "./lib/client.mjs";
import { setPatience } from "./lib/peer.mjs";
import { ScriptedRoom } from "./lib/room.mjs";

const USAGE = `usage: node client.mjs --client COMMAND [--check WORDS] [--patience MS] [--json]

COMMAND is a line for the shell that starts the client program; README.md says what it reads and writes. The exit code is 0 if no scenario
failed, 1 if one did, 2 for wrong arguments.`;

function stop() {
  process.stderr.write(`${USAGE}\n`);
  process.exit(2);
}

const found = { checks: [] };
for (let argv = process.argv.slice(2), at = 0; at < argv.length; at += 1) {
  const value = () => argv[++at] ?? stop();
  if (argv[at] === "--client") found.client = value();
  else if (argv[at] === "--check") found.checks.push(value());
  else if (argv[at] === "--patience") setPatience(Number(value()) || stop());
  else if (argv[at] === "--json") found.json = true;
  else stop();
}
if (!found.client) stop();

const verdicts = [];
for (const { ids, name, run } of scenarios) {
  if (found.checks.length && !found.checks.some((words) => name.startsWith(words))) continue;
  const room = await new ScriptedRoom().listen();
  const client = new Client(found.client);
  const verdict = { ids, check: name, verdict: "pass" };
  try {
    client.do("connect", { url: `http://127.0.0.1:${room.port}`, game: "room", player: "player" });
    await client.until("welcomed");
    await run({ room, client });
  } catch (error) {
    Object.assign(verdict, { verdict: "fail", reason: error.message });
  } finally {
    client.stop();
    room.stop();
  }
  verdicts.push(verdict);
}

const failed = verdicts.filter(({ verdict }) => verdict === "fail").length;
if (found.json) {
  process.stdout.write(`${JSON.stringify({ checks: verdicts }, null, 2)}\n`);
} else {
  for (const { ids, check, verdict, reason } of verdicts) {
    process.stdout.write(`${verdict}  ${ids.join(" ")}: ${check}${reason ? `: ${reason}` : ""}\n`);
  }
  process.stdout.write(`${verdicts.length - failed} pass, ${failed} fail\n`);
}
process.exit(failed === 0 ? 0 : 1);
