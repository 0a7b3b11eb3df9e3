import { readFileSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { addPerson, prefer, signIn, url } from "./people";

test.describe.configure({ timeout: 300_000 });

test("the first steps lead on, name this server, and can be put away", async ({ page }) => {
  await signIn(page);
  await addPerson(page, "sara", "admin");
  await signIn(page, "sara");
  await page.goto(`${url()}/`);
  const navigation = page.getByRole("navigation", { name: "Main navigation" }).first();
  await navigation.getByRole("link", { name: "Getting started" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Getting started" })).toBeVisible();
  const colleague = page.getByRole("region", { name: "Invite a colleague" });
  await expect(colleague).toContainText(/\d+ people work here/);
  await expect(page.getByRole("region", { name: "Write a rule of your own" })).toContainText("shipped rules watch");
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await page.getByRole("link", { name: "Write a rule" }).click();
  await expect(page.getByText("The text is in order and can run.")).toBeVisible();
  await page.goto(`${url()}/start`);
  const kept = page.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.ok());
  await page.getByRole("button", { name: "Do not show this any more" }).click();
  await expect(navigation.getByRole("link", { name: "Getting started" })).toHaveCount(0);
  await kept;
});

test("the audit trail is filtered, exported and verified, and speaks German", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/audit`);
  const trail = page.getByRole("table", { name: "Audit trail" });
  await expect(trail.getByRole("button", { name: /^session\./ }).first()).toBeVisible();
  await page.getByRole("textbox", { name: "Action" }).fill("setup");
  await expect(page).toHaveURL(/action=setup/);
  await expect(trail.getByRole("button", { name: /^session\./ })).toHaveCount(0);

  await page.goto(`${url()}/audit?kind=user`);
  await page.getByRole("button", { name: "Export" }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: "CSV, all entries" }).click();
  const file = readFileSync(await (await download).path(), "utf8");
  expect(file.split("\n")[0]).toContain("seq,time,actor_kind");
  expect(file).toContain("alice");

  await page.getByRole("button", { name: "Verify the chain" }).click();
  const dialog = page.getByRole("dialog", { name: "Verify the chain" });
  await expect(dialog.getByRole("status")).toContainText("The chain is intact");
  await dialog.getByRole("button", { name: "Sign a checkpoint now" }).click();
  await expect(dialog.getByRole("button", { name: "Save checkpoint" })).toBeVisible();
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await prefer(page, { language: "de", theme: "light" });
  await expect(page.getByRole("heading", { level: 1, name: "Prüfprotokoll" })).toBeVisible();
  await prefer(page, { language: "en", theme: "dark" });
});
