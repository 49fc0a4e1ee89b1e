//! Owns how the library is built (one minified ES module) and where its tests are.
//! Read by `vite build` and `vitest`.

import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    target: "es2022",
    lib: { entry: "src/index.ts", formats: ["es"], fileName: "index" },
    // Library mode leaves white space in ES modules; what is measured is what a page downloads.
    rolldownOptions: { output: { minify: true } },
    sourcemap: true,
  },
  test: { include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
});
