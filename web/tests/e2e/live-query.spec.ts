import { readFileSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { agentProgram, Machine } from "./agent";
import { call, PASSWORD, prefer, signIn, url } from "./people";

const machine = new Machine(agentProgram());
const address = () => process.env.E2E_ADDRESS ?? url();

test.describe.configure({ mode: "serial" });
test.afterAll(() => machine.stop());

const violations = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations;

/** Puts a statement in place of the one in the editor. */
async function write(page: Page, sql: string): Promise<void> {
  await page.getByRole("textbox", { name: "SQL for hosts" }).click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(sql);
}

test("a host is asked by SQL and its rows come in while one looks", async ({ page }) => {
  await signIn(page);
  await call(page.request, "POST", "/session/proof", { password: PASSWORD });
  const body = { name: "asked", uses_max: 1, tags: ["asked"], groups: [] };
  const { secret } = await call<{ secret: string }>(page.request, "POST", "/enrollment-tokens", body);
  machine.paste(`enroll --server ${address()} --token ${secret}`, "--name", "asked-1");
  machine.paste("run", "--no-files");

  await page.goto(`${url()}/live-query?tag=asked&status=online`);
  await expect(page.getByRole("button", { name: "Ask 1 host", exact: true })).toBeEnabled();
  expect(await violations(page)).toEqual([]);
  // Tables are completed as they are written, and explained beside the statement.
  await write(page, "SELECT * FROM ");
  await page.keyboard.type("process_env");
  await page.getByRole("option", { name: /^process_envs/ }).click();
  await expect(page.getByRole("textbox", { name: "SQL for hosts" })).toContainText("SELECT * FROM process_envs");
  await page.getByRole("region", { name: "Tables" }).getByRole("searchbox").fill("suid");
  await page.getByRole("button", { name: /^suid_bin/ }).click();
  await expect(page.getByRole("region", { name: "suid_bin" })).toContainText("username");
  await expect(page).toHaveURL(/table=suid_bin/);

  const long =
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 5000) " +
    "SELECT x, username, uid FROM n JOIN users WHERE uid = 0 ORDER BY x";
  await write(page, long);
  await page.getByLabel("Why").fill("a look");
  await page.getByRole("button", { name: "Ask 1 host", exact: true }).click();
  await expect(page.getByRole("status").filter({ hasText: "5,000 rows of 1 of 1 host" })).toBeVisible();
  const rows = page.getByRole("table", { name: "Rows" });
  await expect(rows.getByRole("row").filter({ hasText: "asked-1" }).first()).toContainText("root");
  await expect(rows).toHaveAttribute("aria-rowcount", "5001");
  expect(await violations(page)).toEqual([]);
  // All rows are reached by scrolling, and all of them are in the file.
  await expect(async () => {
    await rows.locator("..").evaluate((box) => box.scrollTo(0, box.scrollHeight));
    await expect(rows.locator('[aria-rowindex="5001"]')).toContainText("5000", { timeout: 2_000 });
  }).toPass();
  await page.getByRole("button", { name: "Export" }).click();
  const saved = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: "CSV, all rows" }).click();
  const lines = readFileSync(await (await saved).path(), "utf8")
    .trim()
    .split("\r\n");
  expect([lines.length, lines[0], lines[5000]]).toEqual([5001, "host_name,x,username,uid", "asked-1,5000,root,0"]);
  await rows.locator('[aria-rowindex="5001"]').click();
  await expect(page.getByRole("dialog", { name: "Row" }).getByRole("link", { name: "asked-1" })).toBeVisible();
  await page.keyboard.press("Escape");
  // The address is the answer: whoever opens it sees the same.
  await page.reload();
  await expect(rows.getByRole("row").filter({ hasText: "root" }).first()).toBeVisible();
});

test("what a host cannot do is told, and what takes long is called off", async ({ page }) => {
  await signIn(page);
  await call(page.request, "POST", "/session/proof", { password: PASSWORD });
  await page.goto(`${url()}/live-query?hosts=${machine.host}`);
  await expect(page.getByText("1 chosen host")).toBeVisible();
  await write(page, "SELECT missing FROM users");
  await page.getByRole("button", { name: "Ask 1 host", exact: true }).click();
  await page.getByRole("button", { name: "1 host could not answer" }).click();
  const run = page.getByRole("table", { name: "Hosts" }).getByRole("row").filter({ hasText: "asked-1" });
  await expect(run).toContainText("no such column");
  await expect(run.getByText("Failed", { exact: true })).toBeVisible();
  expect(await violations(page)).toEqual([]);

  await write(page, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n");
  await page.getByRole("button", { name: "Ask 1 host", exact: true }).click();
  await page.getByRole("button", { name: "Call off" }).click();
  await page.getByRole("dialog", { name: "Call this query off?" }).getByRole("button", { name: "Call off" }).click();
  await expect(page.getByText("Query called off")).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: "of 1 of 1 host" })).toBeVisible();

  await page.getByRole("button", { name: "History", exact: true }).click();
  const first = page.getByRole("row").filter({ hasText: "SELECT missing FROM users" });
  await first.click();
  await expect(page.getByRole("button", { name: "1 host could not answer" })).toBeVisible();
});

test("a statement is scheduled in a policy, and the page works in German on a telephone", async ({ page }) => {
  await signIn(page);
  await call(page.request, "POST", "/session/proof", { password: PASSWORD });
  const made = await call<{ id: string }>(page.request, "POST", "/policies", {
    name: "asked again",
    description: "",
    document: { intervals: { health_s: 30 } },
  });
  await page.goto(`${url()}/live-query?sql=${encodeURIComponent("SELECT path FROM suid_bin")}`);
  await page.getByRole("button", { name: "Schedule…" }).click();
  const dialog = page.getByRole("dialog", { name: "Ask again and again" });
  await dialog.getByRole("combobox", { name: /^Policy/ }).click();
  await page.getByRole("option", { name: "asked again" }).click();
  await expect(dialog.getByLabel("Name of the query")).toHaveValue("suid_bin");
  await dialog.getByRole("button", { name: "Put into the policy" }).click();
  const scheduled = page.getByRole("region", { name: "Scheduled queries" });
  await expect(scheduled.getByText("suid_bin", { exact: true })).toBeVisible();
  await expect(scheduled.getByText("SELECT path FROM suid_bin")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  const kept = await call<{ document: unknown }>(page.request, "GET", `/policies/${made.id}`);
  expect(kept.document).toEqual({
    intervals: { health_s: 30 },
    queries: { suid_bin: { sql: "SELECT path FROM suid_bin", every_s: 3600 } },
  });
  await scheduled.getByRole("link", { name: "Ask now" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Live query" })).toBeVisible();

  await prefer(page, { theme: "light", language: "de" });
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(page.getByRole("heading", { level: 1, name: "Live-Abfrage" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await prefer(page, { theme: "dark", language: "en" });
});
