//! Owns the running of checks, and the verdict for each clause.

import { CLAUSES, NOT_BUILT, UNOBSERVABLE } from "../clauses.mjs";
import { Skip } from "./context.mjs";

async function verdictOf(check, context) {
  try {
    await check.run(context);
    return { verdict: "pass", check: check.name };
  } catch (error) {
    return { verdict: error instanceof Skip ? "skipped" : "fail", check: check.name, reason: error.message };
  } finally {
    context.done();
  }
}

function clause(id, found) {
  const of = (wanted) => found.find(({ verdict }) => verdict === wanted);
  const [failed, skipped] = [of("fail"), of("skipped")];
  if (failed) return { id, verdict: "fail", reason: `${failed.check}: ${failed.reason}` };
  if (of("pass")) return { id, verdict: "pass" };
  if (skipped) return { id, verdict: "skipped", reason: skipped.reason };
  if (NOT_BUILT.has(id)) return { id, verdict: "skipped", reason: "not built" };
  if (UNOBSERVABLE[id]) return { id, verdict: "skipped", reason: `cannot be observed: ${UNOBSERVABLE[id]}` };
  return { id, verdict: "skipped", reason: "no check yet" };
}

/**
 * Runs the checks one after the other, each with a context that `context` makes. `only` is a set of clauses, `checks` a list of how names
 * begin. Returns a verdict for each clause and one for each check.
 */
export async function runChecks(all, context, { only = null, checks = [], onVerdict = () => {} } = {}) {
  const verdicts = new Map(CLAUSES.map((id) => [id, []]));
  const ran = [];
  for (const check of all) {
    if (only && !check.ids.some((id) => only.has(id))) continue;
    if (checks.length && !checks.some((words) => check.name.startsWith(words))) continue;
    const verdict = await verdictOf(check, context());
    ran.push(verdict);
    check.ids.forEach((id) => verdicts.get(id).push(verdict));
    onVerdict(verdict);
  }
  const clauses = CLAUSES.filter((id) => !only || only.has(id)).map((id) => clause(id, verdicts.get(id)));
  return { clauses, ran };
}
