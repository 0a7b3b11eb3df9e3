import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { signIn, url } from "./people";
import { guardian, ROOT } from "./server";

test.describe.configure({ timeout: 180_000 });

test("a hunt offers the values that are there, and never stands in the way of typing", async ({ page }) => {
  await signIn(page);
  // Traffic in which there is nothing to find.
  guardian("replay", "--speed", "max", `${ROOT}/captures/noise.netflow9.pcap`);
  await page.goto(`${url()}/hunt`);
  const editor = page.getByRole("textbox", { name: "Filter for flows" });
  const option = (name: string | RegExp) => page.getByRole("option", { name });
  await editor.click();
  await page.keyboard.type("dst_port = ");
  await expect(option(/^53 ?\d+ flows/).first()).toBeVisible();
  await page.keyboard.type("44");
  // What was typed comes first, so that Enter changes nothing unasked.
  await expect(page.getByRole("option").first()).toHaveText("44");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(editor).toHaveText("dst_port = 443");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/filter=dst_port(\+|%20)%3D(\+|%20)443/);

  // A value that is written out runs with the first Enter.
  await page.keyboard.type(" and protocol = 6");
  await page.waitForTimeout(1_000);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/protocol/);

  // A server that is slow or refuses is no hindrance.
  await page.route(/\/flows\/top\?by=src_port/, async (route) => {
    await new Promise((done) => setTimeout(done, 20_000));
    await route.abort();
  });
  await page.keyboard.type(" and src_port > 1000");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/src_port/);

  await page.getByRole("button", { name: "Add condition" }).click();
  const builder = page.getByRole("dialog", { name: "Add condition" });
  const frequent = builder.getByRole("list", { name: "Most frequent in this range" }).getByRole("button");
  const address = (await frequent.first().textContent()) ?? "";
  expect(address).toMatch(/^[\d.]+$/);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await frequent.first().click();
  await expect(builder.getByLabel("Value")).toHaveValue(address);
  await builder.getByRole("button", { name: "Add", exact: true }).click();
  await expect(editor).toContainText(`src_ip = ${address}`);

  await page.goto(`${url()}/hunt?mode=sql&sql=${encodeURIComponent("SELECT src_ip FROM flows WHERE ")}`);
  const sql = page.getByRole("textbox", { name: "SQL query" });
  await sql.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("direction = 'out");
  await option(/^'outbound'/).click();
  await expect(sql).toHaveText("SELECT src_ip FROM flows WHERE direction = 'outbound'");
});
