import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, expect, type Page, test } from "@playwright/test";
import { PASSWORD } from "./people";
import { IdentityProvider } from "./provider";
import { type Running, run, setupToken } from "./server";

/** How long a proof of who one is holds here: short enough for a test to wait for its end. */
const PROOF_MS = 20_000;

let server: Running;
let provider: IdentityProvider;
let browser: Browser;
/** Passkeys belong to a name, so the address has one. */
let at: string;

test.describe.configure({ mode: "serial", timeout: 300_000 });

test.beforeAll(async ({ playwright, launchOptions }) => {
  provider = new IdentityProvider();
  await provider.start();
  const corp = {
    name: "corp",
    label: "Example Corp",
    issuer: provider.issuer,
    client_id: "guardian",
    client_secret: "a secret of the test",
    scopes: ["profile", "email", "groups"],
    roles: [{ group: "soc-operators", role: "operator" }],
  };
  server = await run(
    `identity.step_up=${PROOF_MS / 1000}s`,
    `identity.oidc=${JSON.stringify([corp])}`,
    'egress.allow=["127.0.0.1"]',
  );
  at = server.url.replace("127.0.0.1", "localhost");
  await provider.serve(at);
  // Browsers have no passkeys on pages whose certificate is only tolerated: this one is trusted by its key.
  const certificate = new X509Certificate(readFileSync(join(server.data, "tls/server.pem")));
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  const pin = createHash("sha256").update(key).digest("base64");
  const args = [...(launchOptions.args ?? []), `--ignore-certificate-errors-spki-list=${pin}`];
  browser = await playwright.chromium.launch({ ...launchOptions, args });
});

test.afterAll(async () => {
  await browser?.close();
  await server?.stop();
  provider?.stop();
});

/** A browser of its own, with a device that holds passkeys and whose owner always agrees. */
async function person(): Promise<Page> {
  const context = await browser.newContext({ ignoreHTTPSErrors: false });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("WebAuthn.enable");
  await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return page;
}

const dashboard = (page: Page) => page.getByRole("heading", { level: 1, name: "Dashboard" });

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Account and preferences" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
}

async function byPassword(page: Page, name: string): Promise<void> {
  await page.goto(`${at}/sign-in`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

async function byProvider(page: Page): Promise<void> {
  await page.goto(`${at}/sign-in`);
  await page.getByRole("button", { name: "Sign in with Example Corp" }).click();
}

/** Waits until whoever is signed in has to prove who they are. */
const proofEnds = (page: Page) => page.waitForTimeout(PROOF_MS + 1_000);
const proof = (page: Page) => page.getByRole("dialog", { name: "Confirm that it is you" });

test("a passkey is added, opens the account alone and after a password, and proves its owner", async () => {
  const page = await person();
  await page.goto(at);
  await page.getByLabel("Set-up token").fill(setupToken(server));
  await page.getByLabel("Name", { exact: true }).fill("alice");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByLabel("Password again").fill(PASSWORD);
  await page.getByRole("button", { name: "Create administrator" }).click();
  await expect(page.getByRole("navigation").first()).toBeVisible();

  await page.goto(`${at}/profile`);
  await proofEnds(page);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("button", { name: /^Passkey/ }).click();
  await page.getByLabel("Name", { exact: true }).fill("this laptop");
  await page.getByRole("button", { name: "Continue" }).click();
  await proof(page).getByLabel("Your password").fill(PASSWORD);
  await proof(page).getByRole("button", { name: "Confirm" }).click();
  await expect(page.getByRole("region", { name: "Recovery codes" }).getByRole("listitem")).toHaveCount(10);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await page.getByRole("button", { name: "I have kept them" }).click();
  await page.getByRole("button", { name: "Rename this laptop" }).click();
  await page.getByLabel("New name").fill("old laptop");
  await page.getByRole("button", { name: "Save" }).last().click();
  await expect(page.getByText("old laptop", { exact: true })).toBeVisible();
  await expect(page.getByText("10 recovery codes left")).toBeVisible();

  // Without a name, without a password.
  await signOut(page);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(dashboard(page)).toBeVisible();

  // After a password.
  await signOut(page);
  await byPassword(page, "alice");
  await expect(page.getByRole("heading", { name: "One more step" })).toBeVisible();
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await expect(dashboard(page)).toBeVisible();

  // Before what is sensitive.
  await page.goto(`${at}/keys`);
  await proofEnds(page);
  await page.getByRole("button", { name: "New key" }).click();
  await page.getByLabel("Name", { exact: true }).fill("backup script");
  await page.getByRole("button", { name: "Make key" }).click();
  await expect(proof(page).getByLabel("Recovery code")).toBeVisible();
  await proof(page).getByRole("button", { name: "Confirm with a passkey" }).click();
  await expect(page.getByRole("dialog", { name: "The key, shown once" })).toBeVisible();

  // What was removed opens nothing.
  await page.goto(`${at}/profile`);
  await page.getByRole("button", { name: "Remove old laptop" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
  await expect(page.getByText("Your password alone opens your account")).toBeVisible();
  await signOut(page);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("alert")).toContainText("belongs to no account here");
  await page.context().close();
});

test("whoever has no passkey at hand is told so", async () => {
  const context = await browser.newContext({ ignoreHTTPSErrors: false });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("WebAuthn.enable");
  const options = {
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
  } as const;
  await session.send("WebAuthn.addVirtualAuthenticator", { options });
  await page.goto(`${at}/sign-in`);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("alert")).toContainText("The passkey was not used");
  await context.close();
});

test("a provider lets people in, asks them again, and says why it does not", async () => {
  provider.enter("ann");
  const ann = await person();
  await byProvider(ann);
  await expect(dashboard(ann)).toBeVisible();
  await ann.goto(`${at}/profile`);
  await expect(ann.getByText("Looks after your roles")).toBeVisible();
  await proofEnds(ann);
  const begin = async () => {
    await ann.getByRole("button", { name: "Add", exact: true }).click();
    await ann.getByRole("button", { name: /^Authenticator app/ }).click();
    await ann.getByRole("button", { name: "Continue" }).click();
  };
  await begin();
  await proof(ann).getByRole("button", { name: "Continue at the provider" }).click();
  // Back from there: now it goes on without a question.
  await expect(proof(ann)).toBeHidden();
  await expect(ann.getByText("Looks after your roles")).toBeVisible();
  await begin();
  await expect(ann.getByRole("img", { name: "QR code for the authenticator app" })).toBeVisible();
  await ann.context().close();

  const refused = async (who: "ann" | "bob", deny: boolean, why: string) => {
    provider.enter(who, deny);
    const page = await person();
    await byProvider(page);
    await expect(page.getByRole("alert")).toContainText(why);
    await expect(page).toHaveURL(/\/sign-in/);
    await page.context().close();
  };
  await refused("ann", true, "The provider refused the sign-in.");
  await refused("bob", false, "None of your groups has a role here.");
});

test("an account is linked with one at the provider, opened by it, and unlinked", async () => {
  provider.enter("ann");
  const taken = await person();
  await byPassword(taken, "alice");
  await expect(dashboard(taken)).toBeVisible();
  await taken.goto(`${at}/profile`);
  await taken.getByRole("button", { name: "Link Example Corp" }).click();
  await expect(taken.getByText("belongs to somebody else here")).toBeVisible();
  await taken.reload();
  await expect(taken.getByRole("button", { name: "Link Example Corp" })).toBeVisible();
  await expect(taken.getByText("belongs to somebody else here")).toHaveCount(0);
  await taken.context().close();

  provider.enter("dan");
  const alice = await person();
  await byPassword(alice, "alice");
  await expect(dashboard(alice)).toBeVisible();
  await alice.goto(`${at}/profile`);
  await alice.getByRole("button", { name: "Link Example Corp" }).click();
  await expect(alice.getByRole("button", { name: "Unlink" })).toBeVisible();
  expect((await new AxeBuilder({ page: alice }).analyze()).violations).toEqual([]);
  await signOut(alice);
  await alice.getByRole("button", { name: "Sign in with Example Corp" }).click();
  await expect(dashboard(alice)).toBeVisible();
  await alice.goto(`${at}/profile`);
  await expect(alice.getByText("alice", { exact: true }).first()).toBeVisible();
  await alice.getByRole("button", { name: "Unlink" }).click();
  await expect(alice.getByRole("button", { name: "Link Example Corp" })).toBeVisible();
  await alice.context().close();
});
