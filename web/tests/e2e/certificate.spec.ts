import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, expect, type Page, test } from "@playwright/test";
import { Authority, type Card } from "./authority";
import { PASSWORD } from "./people";
import { command, type Running, run, setupToken, showPreview } from "./server";

const ours = new Authority("Example Corp People");
const cards = { alice: ours.certify("Alice Rossi"), ann: ours.certify("Ann Keller"), bob: ours.certify("Bob Maier") };

let server: Running;
let folder: string;

test.describe.configure({ mode: "serial", timeout: 300_000 });

test.beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "guardian-e2e-cards-"));
  writeFileSync(join(folder, "ca.pem"), ours.certificate);
  server = await run(`server.tls.client_ca=${join(folder, "ca.pem")}`);
});

test.afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A browser of its own at the program's own address, which shows a card or none. */
async function person(browser: Browser, card?: Card): Promise<Page> {
  const origin = server.program;
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    ...(card ? { clientCertificates: [{ origin, ...card }] } : {}),
  });
  await showPreview(context);
  const page = await context.newPage();
  await page.goto(`${origin}/sign-in`);
  return page;
}

const dashboard = (page: Page) => page.getByRole("heading", { level: 1, name: "Dashboard" });
const byCertificate = (page: Page) => page.getByRole("button", { name: "Sign in with your certificate" });

async function byPassword(page: Page, name: string): Promise<void> {
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Account and preferences" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
}

/** The first administrator, and two people who look into alerts. */
async function peopled(page: Page): Promise<void> {
  const headers = { "x-guardian-request": "1" };
  const post = async (path: string, data: unknown) => {
    const answer = await page.request.post(`${server.program}/api/v1${path}`, { data, headers });
    expect(answer.ok(), `${path}: ${await answer.text()}`).toBe(true);
  };
  await post("/setup", { token: setupToken(server), name: "alice", display_name: "Alice Rossi", password: PASSWORD });
  await post("/session", { name: "alice", password: PASSWORD });
  for (const name of ["ann", "bob"])
    await post("/users", { name, display_name: name, role: "operator", password: PASSWORD });
}

test("a registered certificate opens the account, one that nobody has opens nothing", async ({ browser }) => {
  const alice = await person(browser, cards.alice);
  await peopled(alice);
  writeFileSync(join(folder, "ann.pem"), cards.ann.cert);
  command(server.data, "user", "certificate", "add", "ann", join(folder, "ann.pem"), "--label", "Smart card");

  const ann = await person(browser, cards.ann);
  await byCertificate(ann).click();
  await expect(dashboard(ann)).toBeVisible();
  await ann.goto(`${server.program}/profile`);
  await expect(ann.getByText("Smart card", { exact: true })).toBeVisible();
  await expect(ann.getByText("CN=Ann Keller")).toBeVisible();
  await signOut(ann);
  await ann.context().close();

  // A genuine certificate that was added to no account.
  const bob = await person(browser, cards.bob);
  await byCertificate(bob).click();
  await expect(bob.getByRole("alert")).toContainText("This certificate belongs to no account here.");
  expect((await new AxeBuilder({ page: bob }).analyze()).violations).toEqual([]);
  await expect(bob).toHaveURL(/\/sign-in/);
  // Its holder adds it, and comes in by it.
  await byPassword(bob, "bob");
  await expect(dashboard(bob)).toBeVisible();
  await bob.goto(`${server.program}/profile`);
  await bob.getByRole("button", { name: "Register the one presented now" }).click();
  await expect(bob.getByText("Certificate registered")).toBeVisible();
  await signOut(bob);
  await byCertificate(bob).click();
  await expect(dashboard(bob)).toBeVisible();
  await bob.context().close();

  // Whoever shows none is not offered it, and comes in as ever.
  const plain = await person(browser);
  await expect(plain.getByRole("button", { name: "Sign in", exact: true })).toBeVisible();
  await expect(byCertificate(plain)).toHaveCount(0);
  await byPassword(plain, "ann");
  await expect(dashboard(plain)).toBeVisible();
  await plain.context().close();
  await alice.context().close();
});

test("a role that asks for a certificate is closed without one, and says why", async ({ browser }) => {
  const earlier = await person(browser);
  await byPassword(earlier, "ann");
  await expect(dashboard(earlier)).toBeVisible();

  // An administrator who shows none looks after the certificates of others, and asks them of a role.
  const alice = await person(browser);
  await byPassword(alice, "alice");
  await expect(dashboard(alice)).toBeVisible();
  await alice.goto(`${server.program}/users`);
  await alice.getByRole("row", { name: /ann/ }).first().click();
  await expect(alice.getByText("Smart card", { exact: true })).toBeVisible();
  await expect(alice.getByRole("button", { name: "Add certificate" })).toBeVisible();
  await alice.goto(`${server.program}/settings`);
  const asked = alice.getByRole("group", { name: "These roles must present a client certificate" });
  await asked.getByRole("checkbox", { name: "operator" }).check();
  await alice.getByRole("button", { name: "Save" }).click();
  await expect(alice.getByText("Settings saved")).toBeVisible();

  // At once, for open sessions too; a password does not help.
  const why = "This account opens only where the browser shows its client certificate.";
  await earlier.goto(`${server.program}/alerts`);
  await expect(earlier.getByRole("heading", { name: "Your certificate is needed" })).toBeVisible();
  await earlier.getByRole("button", { name: "Sign in as somebody else" }).click();
  await byPassword(earlier, "ann");
  await expect(earlier.getByText(why)).toBeVisible();
  expect((await new AxeBuilder({ page: earlier }).analyze()).violations).toEqual([]);
  await earlier.getByRole("button", { name: "Try again" }).click();
  await expect(earlier.getByText("This browser shows no certificate of this account yet.")).toBeVisible();
  await earlier.context().close();

  // Nor does another person's certificate.
  const other = await person(browser, cards.bob);
  await byPassword(other, "ann");
  await expect(other.getByText(why)).toBeVisible();
  await other.context().close();

  // With it: alone, or after the password.
  const ann = await person(browser, cards.ann);
  await byCertificate(ann).click();
  await expect(dashboard(ann)).toBeVisible();
  await signOut(ann);
  await byPassword(ann, "ann");
  await expect(dashboard(ann)).toBeVisible();
  await ann.context().close();

  // What was taken away opens nothing any more.
  const account = await person(browser, cards.alice);
  await byPassword(account, "alice");
  await expect(dashboard(account)).toBeVisible();
  await account.goto(`${server.program}/users`);
  await account.getByRole("row", { name: /ann/ }).first().click();
  await account.getByRole("button", { name: "Remove Smart card" }).click();
  await account.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).last().click();
  await expect(account.getByText("Certificate removed")).toBeVisible();
  await account.context().close();
  await alice.context().close();
  const left = await person(browser, cards.ann);
  await byCertificate(left).click();
  await expect(left.getByRole("alert")).toContainText("This certificate belongs to no account here.");
  await left.context().close();
});
