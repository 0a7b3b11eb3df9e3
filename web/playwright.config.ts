import { defineConfig } from "@playwright/test";

/** Everything that keeps a browser in a closed network quiet. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export default defineConfig({
  testDir: "tests/e2e",
  // E2E_BENCH=1 measures instead of testing; what it says is no verdict.
  testMatch: process.env.E2E_BENCH ? "*.bench.ts" : "*.spec.ts",
  outputDir: "test-results",
  // One server for all: the tests tell one story, in order.
  workers: 1,
  fullyParallel: false,
  // Generous: a busy machine is slow, not broken.
  timeout: 300_000,
  expect: { timeout: 60_000 },
  reporter: [["list"]],
  globalSetup: "./tests/e2e/server.ts",
  use: {
    ignoreHTTPSErrors: true,
    viewport: { width: 1440, height: 900 },
    locale: "en-GB",
    timezoneId: "UTC",
    // What moves for ever is drawn by the processor here, and slows everything else.
    contextOptions: { reducedMotion: "reduce" },
    trace: "retain-on-failure",
    launchOptions: { executablePath: process.env.E2E_CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS },
  },
});
