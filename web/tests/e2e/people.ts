import { type APIRequestContext, expect, type Page } from "@playwright/test";

export const url = () => process.env.E2E_URL ?? "";
export const PASSWORD = "correct horse battery staple";
const HEADERS = { "x-guardian-request": "1" };

/** A session by the API: the form has a test of its own. */
export async function signIn(page: Page, name = "alice"): Promise<void> {
  const answer = await page.request.post(`${url()}/api/v1/session`, {
    data: { name, password: PASSWORD },
    headers: HEADERS,
  });
  expect(answer.ok()).toBe(true);
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
