//! Owns the command: it runs the checks against a server, and prints a verdict for each clause.

import { readFileSync } from "node:fs";

import WebSocket from "ws";

import amended from "./checks/amended.mjs";
import gate from "./checks/gate.mjs";
import room from "./checks/room.mjs";
import server from "./checks/server.mjs";
import session from "./checks/session.mjs";
import tokens from "./checks/tokens.mjs";
import upstream from "./checks/upstream.mjs";
import { CLAUSES } from "./clauses.mjs";
import { Context } from "./lib/context.mjs";
import { launcher } from "./lib/launch.mjs";
import { setPatience } from "./lib/peer.mjs";
import { runChecks } from "./lib/report.mjs";

const USAGE = `usage: node run.mjs URL|--start COMMAND [--operator-key-file FILE] [--only ID,…] [--check WORDS] [--patience MS] [--json]

URL is the server's, e.g. http://localhost:8080. --start COMMAND starts a server of its own for each check that needs one, and for all
others if no URL is given. --check runs the checks whose names begin with WORDS; it may be given again. --patience is how long a check waits for
what must come (10000). The exit code is 0 if no check failed, 1 if one did, 2 for wrong arguments.`;

function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

function options(argv) {
  const found = { only: null, checks: [] };
  for (let at = 0; at < argv.length; at += 1) {
    const value = () => argv[++at] ?? stop(USAGE);
    if (argv[at] === "--start") found.start = value();
    else if (argv[at] === "--operator-key-file") found.keyFile = value();
    else if (argv[at] === "--only") found.only = new Set(value().split(","));
    else if (argv[at] === "--check") found.checks.push(value());
    else if (argv[at] === "--patience") setPatience(Number(value()) || stop(USAGE));
    else if (argv[at] === "--json") found.json = true;
    else if (argv[at].startsWith("-") || found.url) stop(USAGE);
    else found.url = argv[at].replace(/\/$/, "").replace(/^ws/, "http");
  }
  if (!found.url && !found.start) stop(USAGE);
  for (const id of found.only ?? []) if (!CLAUSES.includes(id)) stop(`there is no clause ${id}`);
  return found;
}

const { url, start, keyFile, only, checks, json } = options(process.argv.slice(2));
const make = (address, protocols, { headers } = {}) => new WebSocket(address, protocols ?? [], { headers });
const launch = start ? launcher(start) : null;
const operatorKey = keyFile ? readFileSync(keyFile, "utf8").trim() : null;
const base = { base: url, make, fetch, launch, operatorKey };
const own = url ? null : await launch(new Context({ ...base, base: "" }), {});
const context = () => (own ? own.context.at(own.context.base, own.context.operatorKey) : new Context(base));

const all = [...room, ...session, ...gate, ...amended, ...tokens, ...upstream, ...server];
const { clauses, ran } = await runChecks(all, context, { only, checks });
await own?.stop();

const count = (verdict) => clauses.filter((clause) => clause.verdict === verdict).length;
if (json) {
  process.stdout.write(`${JSON.stringify({ clauses, checks: ran }, null, 2)}\n`);
} else {
  for (const { id, verdict, reason } of clauses)
    process.stdout.write(`${id.padEnd(5)} ${verdict}${reason ? `: ${reason}` : ""}\n`);
  process.stdout.write(`${count("pass")} pass, ${count("fail")} fail, ${count("skipped")} skipped\n`);
}
process.exit(count("fail") === 0 ? 0 : 1);
