//! Owns the script of page.html: the checks that a browser can make, over the browser's own WebSocket.

import amended from "./checks/amended.mjs";
import gate from "./checks/gate.mjs";
import room from "./checks/room.mjs";
import session from "./checks/session.mjs";
import { Context } from "./lib/context.mjs";
import { runChecks } from "./lib/report.mjs";

const url = new URLSearchParams(location.search).get("url");
const summary = document.querySelector("#summary");
document.querySelector("input").value = url ?? "";

function row({ id, verdict, reason = "" }) {
  const line = document.createElement("tr");
  line.dataset.verdict = verdict;
  for (const text of [id, verdict, reason])
    line.append(Object.assign(document.createElement("td"), { textContent: text }));
  return line;
}

if (url) {
  summary.textContent = "checking …";
  let count = 0;
  const make = (address, protocols) => new WebSocket(address, protocols ?? []);
  const context = () => new Context({ base: url.replace(/\/$/, ""), make, fetch: (...args) => fetch(...args) });
  const onVerdict = () => (summary.textContent = `checking … ${(count += 1)} checks`);
  const { clauses } = await runChecks([...room, ...session, ...gate, ...amended], context, { onVerdict });
  document.querySelector("#clauses").replaceChildren(...clauses.map(row));
  const of = (verdict) => clauses.filter((clause) => clause.verdict === verdict).length;
  summary.textContent = `${of("pass")} pass, ${of("fail")} fail, ${of("skipped")} skipped`;
  summary.dataset.done = "";
}
