//! Owns how the demo is built: into frontend-client/dist (PAGES_FOLDER names another), which is emptied first (the dashboard is built after it).
//! Read by `vite build` and `vite`; in development everything that is no page goes to a server on port 8080.

import { defineConfig } from "vitest/config";

const server = "http://127.0.0.1:8080";

export default defineConfig({
  base: "/",
  build: {
    outDir: `../${process.env.PAGES_FOLDER ?? "dist"}`,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": server, "/ws": { target: server, ws: true } } },
  test: { include: ["test/**/*.test.ts"] },
});
