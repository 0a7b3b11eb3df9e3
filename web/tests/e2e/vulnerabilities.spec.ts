import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { agentProgram, Machine } from "./agent";
import { prefer, signIn, url } from "./people";
import { guardian } from "./server";

const address = () => process.env.E2E_ADDRESS ?? url();
const violations = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations;
let machine: Machine | null = null;
test.describe.configure({ mode: "serial" });
test.afterAll(async () => machine?.stop());

/** This machine's distribution as OSV names it. On another one the test has nothing to judge, and says so by failing. */
function system(): string {
  const release = readFileSync("/etc/os-release", "utf8");
  const of = (key: string) => new RegExp(`^${key}="?([^"\n]*)`, "m").exec(release)?.[1] ?? "";
  if (of("ID") === "debian") return `Debian:${of("VERSION_ID")}`;
  if (of("ID") === "ubuntu") return `Ubuntu:${of("VERSION_ID")}`;
  throw new Error(`no advisories are known for ${of("ID")}: run this on Debian or Ubuntu`);
}

function advisory(id: string, ecosystem: string, fixed: string | null, vector: string) {
  const events = [{ introduced: "0" }, ...(fixed ? [{ fixed }] : [])];
  const ranges = [{ type: "ECOSYSTEM", events }];
  return {
    schema_version: "1.6.0",
    id,
    modified: "2026-01-01T00:00:00Z",
    summary: `The package manager is wrong, says ${id}`,
    severity: [{ type: "CVSS_V3", score: vector }],
    affected: [{ package: { ecosystem, name: "dpkg" }, ranges }],
  };
}

test("vulnerabilities of a machine are shown, told what to fix first, and put up with", async ({ page }) => {
  const ecosystem = system();
  await signIn(page);
  await prefer(page, { language: "en" });
  await page.goto(`${url()}/vulnerabilities`);
  await expect(page.getByText("There are no advisories yet")).toBeVisible();
  expect(await violations(page)).toEqual([]);

  const one = new Machine(agentProgram());
  machine = one;
  const made = guardian("enroll-token", "create", "--name", "judged", "--output", "json");
  const { secret } = JSON.parse(made) as { secret: string };
  one.paste(`enroll --server ${address()} --token ${secret}`, "--name", "judged-1");
  one.paste("run", "--no-files");
  const folder = mkdtempSync(join(tmpdir(), "guardian-advisories-"));
  const bad = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
  const mild = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N";
  const documents = [
    advisory("CVE-2026-0101", ecosystem, "99.0", bad),
    advisory("CVE-2026-0102", ecosystem, null, mild),
  ];
  for (const document of documents) writeFileSync(join(folder, `${document.id}.json`), JSON.stringify(document));
  guardian("vulndb", "build", folder);
  rmSync(folder, { recursive: true });

  const row = page.getByRole("row").filter({ hasText: "CVE-2026-0101" });
  await expect(async () => {
    await page.goto(`${url()}/vulnerabilities`);
    await expect(row.first()).toBeVisible({ timeout: 5_000 });
  }).toPass();
  await expect(page.getByText(/vulnerabilities in packages · Judged by advisories of/)).toBeVisible();
  await expect(page.getByRole("figure", { name: "Open findings, 60 days" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Low", exact: true }).click();
  await expect(row).toHaveCount(0);
  await expect(page.getByRole("row").filter({ hasText: "CVE-2026-0102" })).toBeVisible();
  await page.getByRole("button", { name: "Clear filters" }).click();

  await page.getByRole("tab", { name: "What to fix first" }).click();
  await expect(page.getByRole("row").filter({ hasText: "dpkg" }).filter({ hasText: "99.0" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  // Groups may have none in them; hosts are there.
  await page.getByRole("tab", { name: "Compare" }).click();
  await page.getByRole("button", { name: "Hosts", exact: true }).click();
  await expect(page.getByRole("link", { name: "judged-1" })).toBeVisible();
  await page.getByRole("tab", { name: "All", exact: true }).click();

  await page.getByRole("link", { name: "CVE-2026-0101" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "CVE-2026-0101" })).toBeVisible();
  await expect(page.getByRole("row").filter({ hasText: "judged-1" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Ask for an exception…" }).click();
  const dialog = page.getByRole("dialog", { name: "Put up with CVE-2026-0101" });
  await dialog.getByLabel("Reason").fill("It is never called here");
  await dialog.getByRole("button", { name: "Ask for it" }).click();
  await expect(page.getByText("Asked for: it holds when somebody has approved it")).toBeVisible();

  await page.goto(`${url()}/vulnerabilities?view=exceptions`);
  const asked = page.getByRole("row").filter({ hasText: "It is never called here" });
  await expect(asked.getByText("Requested")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  // Nobody approves what they asked for themselves.
  await asked.getByRole("button", { name: "Approve: CVE-2026-0101" }).click();
  await expect(page.getByText(/somebody else has to approve/)).toBeVisible();
  await asked.getByRole("button", { name: "End: CVE-2026-0101" }).click();
  await expect(asked.getByText("Ended")).toBeVisible();
});

test("deadlines are set, of all hosts and of a group", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/vulnerabilities?view=settings`);
  await page.getByLabel("Days for Critical, All hosts").fill("9");
  await page.getByLabel("Tag or group with its own deadlines").fill("web");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByLabel("Days for Critical, web").fill("3");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByText("Settings saved")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("Days for Critical, All hosts")).toHaveValue("9");
  await expect(page.getByLabel("Days for Critical, web")).toHaveValue("3");
  await expect(page.getByLabel("Days for High, web")).toHaveValue("");
  await page.getByRole("button", { name: "Remove the deadlines of web" }).click();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByText("Settings saved")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("Days for Critical, All hosts")).toHaveValue("9");
  await expect(page.getByLabel("Days for Critical, web")).toHaveCount(0);
});

test("the report is a file", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/vulnerabilities`);
  await page.getByRole("button", { name: "Export" }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: "Report (PDF)" }).click();
  const made = await (await download).path();
  expect(readFileSync(made).subarray(0, 5).toString()).toBe("%PDF-");
});

test("the page of a host tells what is wrong with it, in both languages", async ({ page }) => {
  expect(machine, "the test before has a machine judged").not.toBeNull();
  await signIn(page);
  await page.goto(`${url()}/hosts/${machine?.host ?? ""}?tab=vulnerabilities`);
  const row = page.getByRole("row").filter({ hasText: "CVE-2026-0101" });
  await expect(row).toContainText(/dpkg \d/);
  await expect(row).toContainText("Open");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "What to fix first" }).click();
  await expect(page.getByRole("row").filter({ hasText: "99.0" })).toBeVisible();
  await page.getByRole("button", { name: "Reached from" }).click();
  const reasons = page.getByRole("list", { name: "Reasons" }).getByRole("listitem");
  await expect(reasons.filter({ hasText: /^Ports/ })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await prefer(page, { language: "de" });
  await expect(page.getByRole("tab", { name: "Schwachstellen" })).toBeVisible();
  await page.goto(`${url()}/vulnerabilities`);
  await expect(page.getByRole("heading", { level: 1, name: "Schwachstellen" })).toBeVisible();
  await prefer(page, { language: "en" });
});
