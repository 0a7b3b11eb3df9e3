import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { addPerson, appCode, call, PASSWORD, signIn, url } from "./people";

// Several people, each in a browser of their own.
test.describe.configure({ timeout: 300_000 });

/** Signs in by the form. */
async function byForm(page: Page, name: string, password = PASSWORD): Promise<void> {
  await page.goto(`${url()}/sign-in`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Adds an authenticator app in the dialog or on the page that asks for one; its secret. */
async function addApp(page: Page): Promise<string> {
  await page.getByLabel("Name", { exact: true }).fill("work telephone");
  await page.getByRole("button", { name: "Continue" }).click();
  await expect(page.getByRole("img", { name: "QR code for the authenticator app" })).toBeVisible();
  const secret = (await page.getByRole("status", { name: "Or type this key in" }).textContent()) ?? "";
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await page.getByRole("button", { name: "Confirm" }).click();
  await expect(page.getByRole("alert")).toContainText("wrong or was used");
  await page.getByLabel("Code", { exact: true }).fill(appCode(secret));
  await page.getByRole("button", { name: "Confirm" }).click();
  return secret;
}

test("an authenticator app is added, asked for at the sign-in, and replaced by a recovery code", async ({
  page,
  browser,
}) => {
  await signIn(page);
  await addPerson(page, "bob", "operator");
  const bob = await (await browser.newContext()).newPage();
  await byForm(bob, "bob");
  await expect(bob.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await bob.goto(`${url()}/profile`);
  await expect(bob.getByText("Your password alone opens your account")).toBeVisible();
  await bob.getByRole("button", { name: "Add", exact: true }).click();
  if (await bob.getByRole("button", { name: /^Authenticator app/ }).isVisible())
    await bob.getByRole("button", { name: /^Authenticator app/ }).click();
  const secret = await addApp(bob);
  const codes = bob.getByRole("region", { name: "Recovery codes" }).getByRole("listitem");
  await expect(codes).toHaveCount(10);
  const recovery = (await codes.first().textContent()) ?? "";
  expect((await new AxeBuilder({ page: bob }).analyze()).violations).toEqual([]);
  await bob.getByRole("button", { name: "I have kept them" }).click();
  await expect(bob.getByText("work telephone")).toBeVisible();
  await expect(bob.getByText("10 recovery codes left")).toBeVisible();

  // The next sign-in asks for the code, and nothing is open before it.
  await bob.getByRole("button", { name: "Account and preferences" }).click();
  await bob.getByRole("menuitem", { name: "Sign out" }).click();
  await byForm(bob, "bob");
  await expect(bob.getByRole("heading", { name: "One more step" })).toBeVisible();
  expect((await new AxeBuilder({ page: bob }).analyze()).violations).toEqual([]);
  await bob.goto(`${url()}/alerts`);
  await expect(bob.getByRole("heading", { name: "One more step" })).toBeVisible();
  // The code of this half minute was used for adding the app: the server takes none twice.
  await bob.getByLabel("Code", { exact: true }).fill(appCode(secret, 1));
  await bob.getByRole("button", { name: "Confirm" }).click();
  await expect(bob.getByRole("heading", { level: 1, name: "Alerts" })).toBeVisible();

  // The telephone is gone: a recovery code takes its place, once.
  await bob.context().clearCookies();
  await byForm(bob, "bob");
  await bob.getByRole("button", { name: "Use a recovery code" }).click();
  await bob.getByLabel("Recovery code").fill(recovery);
  await bob.getByRole("button", { name: "Confirm" }).click();
  await expect(bob.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await bob.goto(`${url()}/profile`);
  await expect(bob.getByText("9 recovery codes left")).toBeVisible();
  await bob.context().close();
});

test("a role that requires a second factor leads to its enrolment", async ({ page, browser }) => {
  await signIn(page);
  await call(page.request, "POST", "/roles", {
    name: "night-watch",
    description: "Looks after the night",
    permissions: ["alerts:read", "incidents:read", "status:read"],
    mfa_required: true,
  });
  await addPerson(page, "nina", "night-watch");
  const nina = await (await browser.newContext()).newPage();
  await byForm(nina, "nina");
  await expect(nina.getByRole("heading", { name: "Protect your account" })).toBeVisible();
  await nina.goto(`${url()}/alerts`);
  await expect(nina.getByRole("heading", { name: "Protect your account" })).toBeVisible();
  if (await nina.getByRole("button", { name: /^Authenticator app/ }).isVisible())
    await nina.getByRole("button", { name: /^Authenticator app/ }).click();
  await addApp(nina);
  await expect(nina.getByRole("heading", { name: "Recovery codes" })).toBeVisible();
  expect((await new AxeBuilder({ page: nina }).analyze()).violations).toEqual([]);
  await nina.getByRole("button", { name: "I have kept them" }).click();
  await expect(nina.getByRole("heading", { level: 1, name: "Alerts" })).toBeVisible();
  await nina.context().close();
});

test("people ask for an account, and an administrator lets them in", async ({ page, browser }) => {
  await signIn(page);
  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(`${url()}/register`);
  await expect(stranger.getByText("Accounts are not given on request")).toBeVisible();
  const policy = await call<Record<string, unknown>>(page.request, "GET", "/settings/security");
  await call(page.request, "PUT", "/settings/security", { ...policy, self_registration: true });
  await stranger.goto(`${url()}/sign-in`);
  await stranger.getByRole("link", { name: "Ask for one" }).click();
  expect((await new AxeBuilder({ page: stranger }).analyze()).violations).toEqual([]);
  await stranger.getByLabel("Name", { exact: true }).fill("stan");
  await stranger.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await stranger.getByLabel("Password again").fill(PASSWORD);
  await stranger.getByRole("button", { name: "Send the request" }).click();
  await expect(stranger.getByText("Your request is on its way")).toBeVisible();
  await byForm(stranger, "stan");
  await expect(stranger.getByRole("alert")).toBeVisible();

  await page.goto(`${url()}/users`);
  const request = page.getByRole("region", { name: "Asking for an account" });
  await expect(request).toContainText("stan");
  await request.getByRole("button", { name: "Approve" }).click();
  await expect(page.getByText("Approved", { exact: true })).toBeVisible();
  await expect(request).toBeHidden();
  await byForm(stranger, "stan");
  await expect(stranger.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await stranger.context().close();
});

test("an invitation link makes an account with the role it names", async ({ page, browser }) => {
  await signIn(page);
  await page.goto(`${url()}/users`);
  await page.getByRole("button", { name: "Invite", exact: true }).click();
  await page.getByLabel("E-mail").fill("ines@example.org");
  await page.getByRole("button", { name: "Make link" }).click();
  const link = (await page.getByRole("status", { name: "The link, shown once" }).textContent()) ?? "";
  await page.keyboard.press("Escape");
  await expect(page.getByText("ines@example.org")).toBeVisible();
  const ines = await (await browser.newContext()).newPage();
  await ines.goto(link);
  await ines.getByLabel("Sign-in name").fill("ines");
  await ines.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await ines.getByLabel("Password again").fill(PASSWORD);
  await ines.getByRole("button", { name: "Continue" }).click();
  await expect(ines.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await ines.goto(link);
  await expect(ines.getByText("This link does not work").first()).toBeVisible();
  await ines.context().close();
});

test("roles see what they may and nothing else", async ({ page, browser }) => {
  await signIn(page);
  await addPerson(page, "vera", "viewer");
  const vera = await (await browser.newContext()).newPage();
  await byForm(vera, "vera");
  const navigation = vera.getByRole("navigation", { name: "Main navigation" }).first();
  await expect(navigation.getByRole("link", { name: "Alerts" })).toBeVisible();
  for (const hidden of ["Users", "Roles", "API keys", "Audit trail", "Tenants"])
    await expect(navigation.getByRole("link", { name: hidden })).toHaveCount(0);
  for (const path of ["/users", "/keys", "/audit"]) {
    await vera.goto(url() + path);
    await expect(vera.getByText("Your role does not allow this").first()).toBeVisible();
  }
  // What the console leaves out, the server refuses.
  const refused = await vera.request.get(`${url()}/api/v1/users`);
  expect(refused.status()).toBe(403);
  await vera.goto(`${url()}/settings`);
  await expect(vera.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
  await expect(vera.getByRole("button", { name: "Save" })).toHaveCount(0);
  await vera.context().close();
});

test("what one chooses follows to another browser, and at once", async ({ page, browser }) => {
  await signIn(page);
  await addPerson(page, "paul", "viewer");
  const open = async () => {
    const context = await browser.newContext({ colorScheme: "light" });
    const next = await context.newPage();
    await byForm(next, "paul");
    await expect(next.getByRole("heading", { level: 1 })).toHaveText(/Dashboard|Übersicht/);
    return next;
  };
  const first = await open();
  const second = await open();
  await first.getByRole("button", { name: "Account and preferences" }).click();
  const kept = first.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.ok());
  await first.getByRole("menuitemradio", { name: "Dark" }).click();
  await first.getByRole("menuitemradio", { name: "Deutsch" }).click();
  await kept;
  // The browser that is open follows without a reload, a new one from its first page on.
  await expect(second.getByRole("heading", { level: 1, name: "Übersicht" })).toBeVisible();
  await expect(second.locator("html")).toHaveAttribute("data-theme", "dark");
  const third = await open();
  await expect(third.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(third.getByRole("heading", { level: 1, name: "Übersicht" })).toBeVisible();
  for (const one of [first, second, third]) await one.context().close();
});

test("a sensitive change asks who one is, and goes on afterwards", async ({ page }) => {
  await signIn(page);
  let proven = false;
  await page.route("**/api/v1/api-keys", async (route) => {
    if (route.request().method() !== "POST" || proven) return route.fallback();
    const body = { type: "about:blank#step-up-required", title: "Forbidden", status: 403, detail: "prove yourself" };
    await route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(body) });
  });
  await page.goto(`${url()}/keys`);
  await page.getByRole("button", { name: "New key" }).click();
  await page.getByLabel("Name", { exact: true }).fill("backup script");
  await page.getByRole("button", { name: "Make key" }).click();
  const ask = page.getByRole("dialog", { name: "Confirm that it is you" });
  await ask.getByLabel("Your password").fill("wrong");
  await ask.getByRole("button", { name: "Confirm" }).click();
  await expect(ask.getByText("This is not your password.")).toBeVisible();
  proven = true;
  await ask.getByLabel("Your password").fill(PASSWORD);
  await ask.getByRole("button", { name: "Confirm" }).click();
  await expect(page.getByRole("dialog", { name: "The key, shown once" })).toBeVisible();
  await page.keyboard.press("Escape");

  // The key is given another name and fewer permissions; whoever saw it before that is told.
  const row = page.getByRole("row", { name: /backup script/ });
  await row.getByRole("button", { name: "Edit" }).click();
  const edit = page.getByRole("dialog", { name: "Edit backup script" });
  const { items } = await call<{ items: { id: string; name: string; version: number }[] }>(
    page.request,
    "GET",
    "/api-keys",
  );
  const key = items.find((one) => one.name === "backup script");
  await call(page.request, "PATCH", `/api-keys/${key?.id}`, { version: key?.version, name: "nightly script" });
  await edit.getByLabel("Name", { exact: true }).fill("mine");
  await edit.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Somebody else changed the key meanwhile")).toBeVisible();
  await expect(edit.getByLabel("Name", { exact: true })).toHaveValue("nightly script");
  await edit.getByRole("checkbox", { name: "audit:read" }).click();
  await edit.getByLabel("Expires").fill(new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10));
  await edit.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Key changed")).toBeVisible();
  const changed = await call<{ name: string; permissions: string[]; expires: string }>(
    page.request,
    "GET",
    `/api-keys/${key?.id}`,
  );
  expect(changed.name).toBe("nightly script");
  expect(changed.permissions).not.toContain("audit:read");
  expect(Date.parse(changed.expires)).toBeLessThan(Date.now() + 31 * 86_400_000);

  // The list is searched and sorted, and what one looks at is kept as a view.
  await page.getByRole("searchbox", { name: "Search keys" }).fill("nightly");
  await expect(page).toHaveURL(/q=nightly/);
  await page.getByRole("button", { name: "Name", exact: true }).click();
  await expect(page).toHaveURL(/sort=name/);
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Save this view…" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("scripts of the night");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.goto(`${url()}/keys?q=nothing+has+this`);
  await expect(page.getByText("No key has that in it")).toBeVisible();
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "scripts of the night" }).click();
  await expect(page.getByRole("row", { name: /nightly script/ })).toBeVisible();
  await expect(page).toHaveURL(/q=nightly/);
});
