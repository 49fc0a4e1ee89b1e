//! Owns how the dashboard is built: into frontend-client/dist/dashboard (PAGES_FOLDER for `dist`), its assets beside the demo's.
//! Read by `vite build` and `vite`; in development everything that is no page goes to a server on port 8080.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const server = "http://127.0.0.1:8080";
const root = fileURLToPath(new URL("..", import.meta.url));

export default defineConfig({
  // One folder up, so that the page keeps its folder's name in `dist`.
  root,
  base: "/",
  publicDir: false,
  build: {
    outDir: process.env.PAGES_FOLDER ?? "dist",
    emptyOutDir: false,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: `${root}dashboard/index.html` },
  },
  server: { proxy: { "/api": server, "/ws": { target: server, ws: true } } },
  test: { root: `${root}dashboard`, include: ["test/**/*.test.ts"] },
});
