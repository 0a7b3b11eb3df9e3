import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { guardian, ROOT } from "./server";

const url = () => process.env.E2E_URL ?? "";
const PASSWORD = "correct horse battery staple";

test("the first administrator is made, alerts arrive live, and one is closed", async ({ page }) => {
  await page.goto(url());
  await expect(page).toHaveURL(/\/setup$/);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await page.getByLabel("Set-up token").fill(process.env.E2E_TOKEN ?? "");
  await page.getByLabel("Name", { exact: true }).fill("alice");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByLabel("Password again").fill(PASSWORD);
  await page.getByRole("button", { name: "Create administrator" }).click();

  await page.getByRole("navigation").getByRole("link", { name: "Alerts" }).click();
  await expect(page.getByText("Nothing to triage")).toBeVisible();
  await expect(page.getByRole("status", { name: "Live" })).toBeVisible();
  guardian("replay", "--speed", "max", `${ROOT}/captures/scan-vertical.netflow9.pcap`);
  const alert = page.getByRole("link", { name: /vertical port scan/i });
  await expect(alert).toBeVisible();
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

  await alert.click();
  await expect(page.getByRole("heading", { name: "What happened" })).toBeVisible();
  await page.getByRole("button", { name: "Acknowledge" }).click();
  await expect(page.getByRole("status").getByText("Acknowledged")).toBeVisible();
  await page.getByRole("button", { name: "Close…" }).click();
  await page.getByLabel("Reason").fill("A scan of our own scanner.");
  await page.getByRole("radio", { name: /Benign/ }).check();
  await page.getByRole("dialog").getByRole("button", { name: "Close alert" }).click();
  await expect(page.getByText("Alert closed")).toBeVisible();
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
});
