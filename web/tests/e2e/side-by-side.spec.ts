import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { agentProgram, Machine } from "./agent";
import { call, prefer, signIn, url } from "./people";

const address = () => process.env.E2E_ADDRESS ?? url();
const machines: Machine[] = [];

test.describe.configure({ mode: "serial" });
test.afterAll(async () => {
  for (const machine of machines) await machine.stop();
});

const violations = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations;

/** A machine that is enrolled, and tells what it has. */
async function machine(page: Page, name: string, tag: string): Promise<Machine> {
  const body = { name, uses_max: 1, tags: [tag], groups: [] };
  const { secret } = await call<{ secret: string }>(page.request, "POST", "/enrollment-tokens", body);
  const made = new Machine(agentProgram());
  machines.push(made);
  made.paste(`enroll --server ${address()} --token ${secret} --name ${name}`);
  made.paste("run --no-files");
  return made;
}

test("hosts that are selected stand side by side, list by list", async ({ page }) => {
  test.setTimeout(180_000);
  await signIn(page);
  const both = [await machine(page, "cmp-1", "web"), await machine(page, "cmp-2", "db")];
  for (const { host } of both) {
    await expect(async () => {
      const { items } = await call<{ items: { list: string }[] }>(page.request, "GET", `/hosts/${host}/inventory`);
      expect(items.map(({ list }) => list)).toContain("users");
      expect(items.map(({ list }) => list)).toContain("packages");
    }).toPass({ timeout: 120_000 });
  }
  await page.goto(`${url()}/hosts?q=cmp-`);
  await page.getByRole("checkbox", { name: "Select all" }).click();
  await page.getByRole("button", { name: "Compare", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Compare hosts" })).toBeVisible();

  const facts = page.getByRole("region", { name: "Facts" });
  const tags = facts.getByRole("row", { name: /^Tags \(differs\)/ });
  await expect(tags.getByRole("cell", { name: "web", exact: true })).toBeVisible();
  await expect(tags.getByRole("cell", { name: "db", exact: true })).toBeVisible();
  await expect(facts.getByRole("row", { name: /^Kernel/ })).toHaveCount(0);
  await page.getByRole("switch", { name: "Differences only" }).click();
  await expect(facts.getByRole("row", { name: /^Kernel/ })).toBeVisible();
  expect(await violations(page)).toEqual([]);

  const lists = page.getByRole("region", { name: "Lists" });
  await lists.getByRole("button", { name: "Accounts" }).click();
  const accounts = page.getByRole("region", { name: "Accounts" });
  await expect(accounts.getByRole("row", { name: /^root/ })).toBeVisible();
  await page.getByRole("searchbox", { name: "Search in the list…" }).fill("/root");
  await expect(accounts.getByRole("row", { name: /^daemon/ })).toHaveCount(0);
  await expect(accounts.getByRole("row", { name: /^root/ })).toBeVisible();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Comparison as CSV" }).click();
  expect((await download).suggestedFilename()).toBe("compare-users.csv");
  await page.screenshot({ path: test.info().outputPath("compare.png"), fullPage: true });
  await page.getByRole("button", { name: "Take cmp-2 out" }).click();
  await expect(page.getByText("Choose two hosts or more")).toBeVisible();
});

test("a comparison is read on a telephone, in German and in the dark", async ({ page }) => {
  await signIn(page);
  await prefer(page, { theme: "dark", language: "de" });
  await page.setViewportSize({ width: 360, height: 800 });
  const ids = machines.map(({ host }) => host).join(",");
  await page.goto(`${url()}/hosts/compare?hosts=${ids}`);
  await expect(page.getByRole("heading", { level: 1, name: "Hosts vergleichen" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Fakten" }).getByText("(verschieden)").first()).toBeAttached();
  await expect(page.getByRole("status", { name: "Wird geladen" })).toHaveCount(0);
  expect(await violations(page)).toEqual([]);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(wide).toBeLessThanOrEqual(0);
  await page.screenshot({ path: test.info().outputPath("compare-de.png"), fullPage: true });
  await prefer(page, { theme: "light", language: "en" });
});
