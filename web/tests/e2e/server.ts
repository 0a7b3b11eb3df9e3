import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { BrowserContext } from "@playwright/test";

/** How long the server may take to become ready; a slow machine with a cold disk included. */
const READY_MS = 60_000;

export const ROOT = resolve(import.meta.dirname, "../../..");
export const PROGRAM = process.env.E2E_PROGRAM ?? join(ROOT, "target/debug/guardian");

/** Runs one command of the program on a data directory. */
export function command(data: string, ...args: string[]): string {
  const run = spawnSync(PROGRAM, ["--data", data, ...args], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`guardian ${args.join(" ")}: ${run.stderr}`);
  return run.stdout;
}

/** Runs one command of the program on the data directory that most tests share. */
export const guardian = (...args: string[]): string => command(process.env.E2E_DATA ?? "", ...args);

/** Waits for the line that tells the address. */
function ready(server: ChildProcess): Promise<string> {
  return new Promise((found, failed) => {
    let said = "";
    const timer = setTimeout(() => failed(new Error(`the server is not ready: ${said}`)), READY_MS);
    server.stderr?.on("data", (part: Buffer) => {
      said += part.toString();
      const url = /Guardian is ready at (\S+)/.exec(said)?.[1];
      if (!url || !said.includes("watch alerts with")) return;
      clearTimeout(timer);
      found(url);
    });
    server.on("exit", (code) => failed(new Error(`the server ended with ${code}: ${said}`)));
  });
}

/**
 * With E2E_PREVIEW, `dist/` is tested before it is compiled into the program: the API stays the program's. It is shown
 * with the program's own certificate, because passkeys want a page that is trusted.
 */
async function preview(server: string, data: string): Promise<{ url: string; close: () => Promise<void> }> {
  process.env.GUARDIAN_SERVER = server;
  const vite = await import("vite");
  const [cert, key] = ["server.pem", "server.key"].map((name) => readFileSync(join(data, "tls", name)));
  const https = { ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
  const shown = await vite.preview({ root: join(ROOT, "web"), preview: { port: 0, https } });
  // The program would take the variable for itself.
  delete process.env.GUARDIAN_SERVER;
  return { url: shown.resolvedUrls?.local[0]?.replace(/\/$/, "") ?? server, close: () => shown.close() };
}

/** A server that runs, and what a test needs to know of it. */
export interface Running {
  url: string;
  /** The program's own address, where `url` is a preview's. */
  program: string;
  data: string;
  stop: () => Promise<void>;
}

/** Starts the real program on an empty data directory, on a port of the system's choice. */
export async function run(...settings: string[]): Promise<Running> {
  const data = mkdtempSync(join(tmpdir(), "guardian-e2e-"));
  const all = ["server.address=127.0.0.1:0", "collect.listeners=[]", ...settings];
  const args = ["serve", "--data", data, ...all.flatMap((setting) => ["--set", setting])];
  const server = spawn(PROGRAM, args, { stdio: ["ignore", "ignore", "pipe"] });
  const address = await ready(server);
  const shown = process.env.E2E_PREVIEW ? await preview(address, data) : null;
  return {
    url: shown?.url ?? address,
    program: address,
    data,
    stop: async () => {
      await shown?.close();
      const ended = new Promise((done) => server.once("exit", done));
      server.kill("SIGTERM");
      await ended;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/**
 * At the program's own address, where a certificate reaches it, a browser would see the console that is compiled in:
 * with E2E_PREVIEW it gets the one of `dist/` there as well.
 */
export async function showPreview(context: BrowserContext): Promise<void> {
  if (!process.env.E2E_PREVIEW) return;
  const dist = join(ROOT, "web/dist");
  await context.route(
    ({ pathname }) => !pathname.startsWith("/api/"),
    (route) => {
      const file = join(dist, new URL(route.request().url()).pathname);
      return route.fulfill({ path: existsSync(file) && statSync(file).isFile() ? file : join(dist, "index.html") });
    },
  );
}

/** The token that makes the first administrator. */
export function setupToken({ data }: Running): string {
  return readFileSync(join(data, "setup-token"), "utf8").trim();
}

/** The server that most tests share. */
export default async function start(): Promise<() => Promise<void>> {
  const server = await run();
  process.env.E2E_URL = server.url;
  process.env.E2E_ADDRESS = server.program;
  process.env.E2E_DATA = server.data;
  process.env.E2E_TOKEN = setupToken(server);
  return server.stop;
}
