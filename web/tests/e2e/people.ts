import { createHmac } from "node:crypto";
import { type APIRequestContext, expect, type Page } from "@playwright/test";

export const url = () => process.env.E2E_URL ?? "";
export const PASSWORD = "correct horse battery staple";
const HEADERS = { "x-guardian-request": "1" };

/** A session by the API: the form has a test of its own. Alice, the first administrator, is made if nobody is there. */
export async function signIn(page: Page, name = "alice"): Promise<void> {
  const post = (path: string, data: unknown) => page.request.post(`${url()}/api/v1${path}`, { data, headers: HEADERS });
  const setup = (await (await page.request.get(`${url()}/api/v1/setup`)).json()) as { needed: boolean };
  if (setup.needed) {
    const token = process.env.E2E_TOKEN ?? "";
    expect((await post("/setup", { token, name: "alice", display_name: "", password: PASSWORD })).ok()).toBe(true);
  }
  expect((await post("/session", { name, password: PASSWORD })).ok()).toBe(true);
}

/** One request to the API with the session of a page; its answer, which must be good. */
export async function call<T>(
  request: APIRequestContext,
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  data?: unknown,
): Promise<T> {
  const answer = await request.fetch(`${url()}/api/v1${path}`, {
    method,
    headers: HEADERS,
    ...(data === undefined ? {} : { data }),
  });
  expect(answer.ok(), `${method} ${path}: ${answer.status()} ${await answer.text()}`).toBe(true);
  return (answer.status() === 204 ? null : await answer.json()) as T;
}

/** Makes an account with the password of these tests, as whoever is signed in: an administrator. */
export async function addPerson(page: Page, name: string, role: string): Promise<void> {
  await call(page.request, "POST", "/session/proof", { password: PASSWORD });
  await call(page.request, "POST", "/users", { name, display_name: name, role, password: PASSWORD });
}

/** Sets how the console looks for whoever is signed in, and loads the page again. */
export async function prefer(page: Page, preferences: { theme?: string; language?: string }): Promise<void> {
  const { version, value } = await call<{ version: number; value: Record<string, unknown> }>(
    page.request,
    "GET",
    "/preferences",
  );
  await call(page.request, "PUT", "/preferences", { version, value: { ...value, preferences } });
  await page.reload();
}

/** The six digits of an authenticator app (RFC 6238) `steps` half minutes from now. */
export function appCode(secret: string, steps = 0): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replaceAll(" ", "")].map((c) => letters.indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const tag = createHmac("sha1", key).update(counter).digest();
  const number = tag.readUInt32BE((tag[19] ?? 0) & 15) & 0x7fff_ffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/** From now on alerts stay alone until somebody makes an incident of them; as whoever is signed in: an administrator. */
export async function leaveAlertsAlone(page: Page): Promise<void> {
  const settings = await call<{ version: number; correlation: object }>(page.request, "GET", "/incident-settings");
  const correlation = { ...settings.correlation, enabled: false };
  await call(page.request, "PUT", "/incident-settings", { ...settings, correlation });
}

/** Waits until so many open alerts belong to no incident; their ids, newest first. */
export async function freeAlerts(page: Page, n: number): Promise<string[]> {
  let ids: string[] = [];
  await expect
    .poll(async () => {
      const path = "/alerts?incident=none&status=open&limit=50&sort=newest";
      const { items } = await call<{ items: { id: string }[] }>(page.request, "GET", path);
      ids = items.map((alert) => alert.id);
      return ids.length;
    })
    .toBeGreaterThanOrEqual(n);
  return ids;
}
