import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { budget } from "./build/budget.ts";
import { precompress } from "./build/precompress.ts";

/** Where the API is while developing: `guardian serve --set server.address=127.0.0.1:8443`. */
const server = process.env.GUARDIAN_SERVER ?? "https://127.0.0.1:8443";
const proxy = { "/api": { target: server, secure: false, ws: true, changeOrigin: false } };

/** What the program answers with; the preview must not be more lenient. */
const POLICY =
  "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; frame-ancestors 'none'";

export default defineConfig({
  plugins: [react(), tailwindcss(), precompress(), budget({ kilobytes: 250 })],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  // Nothing may become a data: URL or an inline style: the content security policy would refuse it.
  build: { target: "es2023", assetsInlineLimit: 0, sourcemap: false, reportCompressedSize: false, manifest: false },
  server: { proxy, fs: { allow: [".."] } },
  preview: { proxy, headers: { "content-security-policy": POLICY } },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["./tests/setup.ts"],
    css: false,
  },
});
