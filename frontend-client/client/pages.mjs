//! Owns the library as the server serves it: /client.js, its source map, and its types in one file.
//! Run behind the build of all pages, into the folder that PAGES_FOLDER names (`dist`).

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const built = new URL("dist/", import.meta.url);
const read = (name) => readFileSync(new URL(name, built), "utf8");

/** Modules that `index.d.ts` reaches, those first that the others need. */
function reach(name, seen = new Map()) {
  if (seen.has(name)) return seen;
  seen.set(name, read(`${name}.d.ts`));
  for (const [, next] of seen.get(name).matchAll(/from "\.\/([\w-]+)\.js"/g)) reach(next, seen);
  return seen;
}

/** Declarations of all of them in one module, which exports what `index` exports. */
export function bundleTypes() {
  const modules = reach("index");
  const index = modules.get("index");
  const names = new Set(
    [...index.matchAll(/export (?:type )?\{([^}]*)\} from/g)].flatMap(([, list]) =>
      list.split(",").map((name) => name.trim().replace(/^type /, "")),
    ),
  );
  const isWhole = (module) => module === "index" || index.includes(`export type * from "./${module}.js"`);
  const parts = [...modules].reverse().map(([module, text]) =>
    text
      .replace(/^(?:import|export)\b[^;]*? from "\.\/[^"]*";\n/gm, "")
      .replace(
        /^export (?:\{\};\n|(?=((?:declare )?(?:abstract )?(?:class|function|const|interface|type) (\w+))))/gm,
        (whole, _, name) => (name === undefined ? "" : isWhole(module) || names.has(name) ? whole : ""),
      )
      .replace(/^\/\/!.*\n/gm, "")
      .replace(/^(class|function|const) /gm, "declare $1 "),
  );
  return `//! Types of /client.js, the client library of the Innkeeper server that serves it.\n${parts.join("")}export {};\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = new URL(`../${process.env.PAGES_FOLDER ?? "dist"}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  const write = (name, text) => writeFileSync(new URL(name, folder), text);
  write("client.js", read("index.js").replace(/\/\/# sourceMappingURL=.*/, "//# sourceMappingURL=client.js.map"));
  write("client.js.map", read("index.js.map").replace('"file":"index.js"', '"file":"client.js"'));
  write("client.d.ts", bundleTypes());
}
