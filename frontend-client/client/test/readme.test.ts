//! Owns the proof that the README's examples are right: each is compiled against the library's own types.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const home = fileURLToPath(new URL("..", import.meta.url));
/** Where examples find what is installed for the package, and no build sees a change. */
const folder = join(home, "../node_modules/.readme");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

const examples = [...readFileSync(join(home, "README.md"), "utf8").matchAll(/```(\w+)\n(.*?)```/gs)].map(
  ([, language, text]) => ({
    language: language as string,
    text: text as string,
  }),
);

function compile(files: { [name: string]: string }): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const compilerOptions = {
    jsx: "react-jsx",
    types: ["node"],
    noUnusedLocals: false,
    paths: {
      "@innkeeper/client": ["../../client/src/index.ts"],
      "@innkeeper/client/react": ["../../client/src/react.ts"],
    },
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: "../../tsconfig.base.json", compilerOptions, files: Object.keys(files) }),
  );
  try {
    execFileSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], { encoding: "utf8", stdio: "pipe" });
    return "";
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("every example is TypeScript that the compiler takes", () => {
  expect(examples.map(({ language }) => language)).toEqual(["ts", "tsx", "ts", "ts", "ts"]);
  expect(compile(Object.fromEntries(examples.map(({ language, text }, n) => [`example${n}.${language}`, text])))).toBe(
    "",
  );
});

it("what the types forbid is an error: a wrong message, a wrong patch, a wrong part of the state", () => {
  const room =
    'import { connect } from "@innkeeper/client";\nconst { room } = connect<{ n: number; who?: { name: string } }, { text: string }, { x: number }>("");\n';
  const right = `${room}void room.send({ text: "a" });\nvoid room.patch({ who: null });\nroom.volatile("hand", { x: 1 });\nroom.on("message", ({ data }) => data.text.length);\nroom.state.n.toFixed();\n`;
  expect(compile({ "right.ts": right })).toBe("");
  const wrong = [
    "void room.send({ text: 1 });",
    "void room.patch({ n: 'x' });",
    "room.volatile('hand', { y: 1 });",
    "room.on('message', ({ data }) => data.words);",
    "room.state.m;",
  ];
  const told = compile(Object.fromEntries(wrong.map((line, n) => [`wrong${n}.ts`, room + line])));
  for (const n of wrong.keys()) expect(told).toMatch(new RegExp(`wrong${n}\\.ts\\(3,`));
  const anything =
    'import { connect } from "@innkeeper/client";\nconst { room } = connect("");\nconst mine: { when: Date } = { when: new Date() };\nvoid room.send(mine);\nvoid room.patch(mine);\nexport const token: Parameters<typeof connect>[1] = { token: null };\n';
  expect(compile({ "untyped.ts": anything })).toBe("");
});
