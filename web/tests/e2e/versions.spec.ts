import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { agentProgram, Machine } from "./agent";
import { call, PASSWORD, prefer, signIn, url } from "./people";

const program = agentProgram();
const address = () => process.env.E2E_ADDRESS ?? url();
const desk = mkdtempSync(join(tmpdir(), "guardian-desk-e2e-"));
const machine = new Machine(program);
const NOTE = "guardian-agent version note:";
const ARCHITECTURES: Record<string, string> = { x64: "x86_64", arm64: "aarch64" };

test.describe.configure({ mode: "serial" });
test.afterAll(async () => {
  await machine.stop();
  rmSync(desk, { recursive: true, force: true });
});

const prove = (page: Page) => call(page.request, "POST", "/session/proof", { password: PASSWORD });
const violations = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations;
const agent = (...args: string[]) => execFileSync(program, args, { encoding: "utf8" }).trim();

/** The agent as another version: the note within the program that it reads its version from says another one. */
function version(name: string): string {
  const path = join(desk, `agent-${name}`);
  copyFileSync(program, path);
  const bytes = readFileSync(path);
  let at = bytes.indexOf(NOTE);
  // The mark alone stands elsewhere too; the note is where a version follows.
  while (at >= 0 && !/[0-9]/.test(String.fromCharCode(bytes[at + NOTE.length] ?? 0))) at = bytes.indexOf(NOTE, at + 1);
  const from = at + NOTE.length;
  bytes.fill(0, from, from + 40);
  bytes.write(name, from);
  writeFileSync(path, bytes);
  chmodSync(path, 0o755);
  expect(execFileSync(path, ["--version"], { encoding: "utf8" }).trim()).toBe(`guardian-agent ${name}`);
  return path;
}

test("what a host has is listed, searched and opened, and the fleet's software leads to it", async ({ page }) => {
  await signIn(page);
  await prove(page);
  const key = agent("release-key", "--out", join(desk, "key"));
  const body = { name: "ring", uses_max: 1, tags: ["ring"], groups: [] };
  const { secret } = await call<{ secret: string }>(page.request, "POST", "/enrollment-tokens", body);
  machine.paste(`enroll --server ${address()} --token ${secret}`, "--name", "ring-1", "--release-key", key);
  machine.paste("run", "--no-files");
  await page.goto(`${url()}/hosts/${machine.host}?tab=inventory`);
  const list = page.getByRole("combobox", { name: /^List/ });
  await expect(list).toContainText("Packages");
  await page.getByRole("searchbox", { name: "Search here…" }).fill("bash");
  const row = page.getByRole("row").filter({ hasText: /^bash/ }).first();
  await expect(row).toContainText("dpkg");
  expect(await violations(page)).toEqual([]);
  await row.click();
  await expect(page.getByRole("dialog", { name: "Entry" }).getByText("Source package")).toBeVisible();
  await page.keyboard.press("Escape");
  await list.click();
  await page.getByRole("option", { name: /^Accounts/ }).click();
  await expect(page.getByRole("row").filter({ hasText: "/root" }).first()).toBeVisible();
  await page.getByRole("button", { name: "Changes", exact: true }).click();
  await expect(page.getByText("Nothing changed in 90 days")).toBeVisible();

  await page.goto(`${url()}/software?sort=hosts`);
  await page.getByRole("searchbox").fill("bash");
  await page.getByRole("row").filter({ hasText: /^bash/ }).first().click();
  const hosts = page.getByRole("dialog", { name: "bash" });
  await expect(hosts.getByRole("row").filter({ hasText: "ring-1" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await hosts.getByRole("link", { name: "ring-1" }).click();
  await expect(page.getByRole("row").filter({ hasText: /^bash/ }).first()).toBeVisible();
});

test("a signed release is brought, rolled out in stages and seen to arrive, and taken back", async ({ page }) => {
  await signIn(page);
  await prove(page);
  const path = version("9.9.9");
  const signing = ["--key", join(desk, "key"), "--architecture", ARCHITECTURES[arch()] ?? arch(), "--notes", "Faster"];
  writeFileSync(join(desk, "signed.json"), agent("sign-release", ...signing, path));
  await page.goto(`${url()}/versions?tab=releases`);
  await expect(page.getByText("No release yet")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Add a release" }).first().click();
  const form = page.getByRole("dialog", { name: "Add a release" });
  // What was not signed is refused, and says so.
  await form.getByLabel("The program").setInputFiles(program);
  await form.getByLabel("What was signed").setInputFiles(join(desk, "signed.json"));
  await form.getByRole("button", { name: "Add", exact: true }).click();
  await expect(page.getByText(/program is not what was signed/)).toBeVisible();
  await form.getByLabel("The program").setInputFiles(path);
  await form.getByRole("button", { name: "Add", exact: true }).click();
  await expect(page.getByRole("row").filter({ hasText: "9.9.9" })).toContainText("Faster");

  await page.getByRole("button", { name: "Roll out…" }).click();
  const start = page.getByRole("dialog", { name: "Roll a release out" });
  await start.getByRole("button", { name: "Remove stage 3" }).click();
  await start.getByRole("button", { name: "Remove stage 2" }).click();
  await start.getByLabel("Expression").fill("tag = ring");
  await start.getByLabel("Part, %").fill("100");
  await start.getByLabel("Then wait, minutes").fill("0");
  expect(await violations(page)).toEqual([]);
  await start.getByRole("button", { name: "Start the rollout" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Rollout of 9.9.9" })).toBeVisible();
  const host = page.getByRole("row").filter({ hasText: "ring-1" });
  await expect(host.getByText("Done", { exact: true })).toBeVisible();
  await expect(page.getByText("passed", { exact: true })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.goto(`${url()}/versions`);
  await expect(page.getByRole("row").filter({ hasText: "9.9.9" }).getByText("Done", { exact: true })).toBeVisible();
  await expect(page.getByRole("link", { name: "9.9.9" }).first()).toBeVisible();

  await page.getByRole("row").filter({ hasText: "9.9.9" }).click();
  await page.getByRole("button", { name: "Take back…" }).click();
  const dialog = page.getByRole("dialog", { name: /^Take 9.9.9 back/ });
  await dialog.getByLabel("Why").fill("Too fast");
  await dialog.getByRole("button", { name: "Take back", exact: true }).click();
  await expect(host.getByText("Went back", { exact: true })).toBeVisible();
  await prefer(page, { theme: "light", language: "de" });
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(page.getByRole("heading", { level: 1, name: "Verteilung von 9.9.9" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await prefer(page, { theme: "dark", language: "en" });
});
