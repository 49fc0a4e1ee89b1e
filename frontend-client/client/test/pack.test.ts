//! Owns the proofs of what is handed out: the package as `npm pack` makes it, and the library's types in one file.

import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";

const workspace = fileURLToPath(new URL("../..", import.meta.url));
const home = join(workspace, "client");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "innkeeper-pack-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function run(cwd: string, command: string, ...args: string[]): string {
  // Of npm's own settings none is passed on: this test is run by npm itself.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(config_(?!userconfig|cache|registry)|package|lifecycle)/i.test(name),
    ),
  );
  try {
    return execFileSync(command, args, {
      cwd,
      env,
      encoding: "utf8",
      stdio: "pipe",
      shell: process.platform === "win32",
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")}:\n${stdout}\n${stderr}`);
  }
}

const USE = `import { connect, InnkeeperError, type Room } from "@innkeeper/client";
class Mute { readyState = 0; onopen = null; onmessage = null; onerror = null; onclose = null; send(_: string) {} close() {} }
const client = connect<{ n: number }, { text: string }>("http://localhost:1", { game: "g", player: "p", WebSocket: Mute });
const room: Room<{ n: number }, { text: string }> = client.room;
room.on("message", ({ data }) => data.text.length);
console.log(room.status, new InnkeeperError("code", "words").code);
`;

it("the package is built before it is packed, complete, and works where it is installed", () => {
  const made = folder();
  // Without what was built: packing must see to that itself.
  const copy = join(made, "frontend-client/client");
  mkdirSync(copy, { recursive: true });
  cpSync(home, copy, {
    recursive: true,
    filter: (path) => !/client\/(dist|node_modules)(\/|$)/.test(path.replaceAll("\\", "/").slice(workspace.length - 1)),
  });
  expect(existsSync(join(copy, "dist"))).toBe(false);
  cpSync(join(workspace, "tsconfig.base.json"), join(made, "frontend-client/tsconfig.base.json"));
  symlinkSync(join(workspace, "node_modules"), join(made, "frontend-client/node_modules"));
  run(copy, "npm", "pack", "--pack-destination", made);
  const tarball = readdirSync(made).find((name) => name.endsWith(".tgz")) as string;

  const app = join(made, "app");
  mkdirSync(app);
  writeFileSync(join(app, "package.json"), '{"name":"app","private":true,"type":"module"}');
  run(app, "npm", "install", "--offline", "--no-audit", "--no-fund", join(made, tarball));
  const installed = join(app, "node_modules/@innkeeper/client");
  expect(readdirSync(join(app, "node_modules")).filter((name) => !name.startsWith("."))).toEqual(["@innkeeper"]);
  expect(readdirSync(installed).sort()).toEqual(["LICENSE-APACHE", "LICENSE-MIT", "README.md", "dist", "package.json"]);
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    expect(readFileSync(join(installed, licence), "utf8")).toBe(readFileSync(join(workspace, "..", licence), "utf8"));
  }
  const description = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  expect(description.license).toBe("MIT OR Apache-2.0");
  // An address that leads nowhere is worse than none.
  expect(readFileSync(join(installed, "package.json"), "utf8")).not.toMatch(/example\b/);

  writeFileSync(join(app, "use.ts"), USE);
  const react =
    'import { useRoom } from "@innkeeper/client/react";\nimport type { Json } from "@innkeeper/client";\nexport const useIt = (): Json | undefined => useRoom("", { game: "g", player: "p" }).state;\n';
  writeFileSync(join(app, "react.ts"), react);
  mkdirSync(join(app, "node_modules/@types"));
  for (const name of ["react", "@types/react", "csstype"])
    symlinkSync(join(workspace, "node_modules", name), join(app, "node_modules", name));
  const compilerOptions = {
    target: "es2022",
    module: "nodenext",
    strict: true,
    outDir: "out",
    types: [],
    lib: ["es2022", "dom"],
  };
  writeFileSync(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts", "react.ts"] }));
  run(app, process.execPath, tsc, "-p", ".");
  expect(run(app, process.execPath, "out/use.js")).toBe("connecting code\n");
  const names =
    'import * as react from "@innkeeper/client/react"; import own from "@innkeeper/client/package.json" with { type: "json" }; console.log(Object.keys(react).join(), own.version);';
  expect(run(app, process.execPath, "--no-warnings", "--input-type=module", "-e", names)).toBe(
    `useRoom,useRoomEvent ${description.version}\n`,
  );
});

it("the library that the server serves has its types in one file, which hides what is not exported", async () => {
  const made = folder();
  const { bundleTypes } = (await import(new URL("../pages.mjs", import.meta.url).href)) as { bundleTypes(): string };
  writeFileSync(join(made, "client.d.ts"), bundleTypes());
  writeFileSync(join(made, "use.ts"), USE.replace("@innkeeper/client", "./client.js"));
  writeFileSync(
    join(made, "hidden.ts"),
    'import { createLink } from "./client.js";\nexport const link = createLink;\n',
  );
  const check =
    (file: string, ...more: string[]) =>
    () =>
      run(
        made,
        process.execPath,
        tsc,
        "--noEmit",
        "--strict",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
        "--target",
        "es2022",
        "--lib",
        "es2022,dom",
        "--types",
        "",
        ...more,
        file,
      );
  expect(check("use.ts")()).toBe("");
  expect(check("hidden.ts")).toThrow(/createLink/);
});
