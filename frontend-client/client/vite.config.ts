//! Owns how the library is built (one minified ES module, and one for React that imports it) and where its tests are.
//! Read by `vite build`, `vite build --mode react` and `vitest`.

import { defineConfig } from "vitest/config";

export default defineConfig(({ mode }) => {
  const entry = mode === "react" ? "react" : "index";
  return {
    build: {
      target: "es2022",
      lib: { entry: `src/${entry}.ts`, formats: ["es"], fileName: entry },
      // The hook and the application must share one copy of the library, which knows the page's other clients.
      rolldownOptions: {
        external: ["react", "@innkeeper/client"],
        // Library mode leaves white space in ES modules; what is measured is what a page downloads.
        output: { minify: true },
      },
      emptyOutDir: mode !== "react",
      sourcemap: true,
    },
    test: { include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
  };
});
