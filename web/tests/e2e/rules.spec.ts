import { readFileSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { prefer, signIn, url } from "./people";

const RULE = `title: Somebody reaches for SSH
id: 7f0d3c1e-52aa-4f0b-9d55-0c8f1f6a2b11
status: experimental
description: Any connection to port 22, to prove the editor.
logsource:
  category: network_connection
detection:
  selection:
    dst_port: 22
    protocol: 6
  condition: selection
level: low
tags:
  - attack.t1021.004
  - attack.lateral_movement
`;

test("a rule is written, tested against history, saved, and stopped again", async ({ page }) => {
  test.setTimeout(180_000);
  await signIn(page);
  await page.goto(`${url()}/rules/new?source=${encodeURIComponent(RULE)}`);
  await expect(page.getByText("The text is in order and can run.")).toBeVisible();
  await page.getByText("dst_port", { exact: true }).first().hover();
  await expect(page.getByText("Destination port, 0 where")).toBeVisible();
  await page.mouse.move(0, 0);
  await page
    .getByRole("textbox", { name: "Flows", exact: true })
    .fill("- {src: 10.0.0.5, dst: 10.0.0.9, dport: 22, repeat: 4}");
  await page.getByRole("button", { name: "Try it" }).click();
  await expect(page.getByText("As expected")).toBeVisible();
  await page.getByRole("textbox", { name: "Flows", exact: true }).fill("- {src: 10.0.0.5, dst: 10.0.0.9, dport: 23}");
  await page.getByRole("button", { name: "Try it" }).click();
  await expect(page.getByText("An alert was expected, and there was none.")).toBeVisible();
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await expect(page.getByText(/\d+ alerts? over [\d,]+ flows/)).toBeVisible();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Somebody reaches for SSH" })).toBeVisible();
  await expect(page.getByText("Running")).toBeVisible();
  await page.getByRole("switch", { name: "Stop it" }).click();
  await expect(page.getByText("Stopped", { exact: true })).toBeVisible();
  await page.goto(`${url()}/rules?state=disabled&q=reaches`);
  await expect(page.getByRole("link", { name: "Somebody reaches for SSH" })).toBeVisible();
});

test("several rules are stopped at once, and run again by the way back", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/rules?q=port+scan`);
  const grid = page.getByRole("table", { name: "Detection rules" });
  const running = grid.getByRole("switch", { checked: true });
  await expect(running.first()).toBeVisible();
  const before = await running.count();
  expect(before).toBeGreaterThan(1);
  await grid.getByRole("checkbox", { name: "Select row" }).nth(0).click();
  await grid.getByRole("checkbox", { name: "Select row" }).nth(1).click();
  await page.getByRole("button", { name: "Stop it" }).click();
  await expect(running).toHaveCount(before - 2);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(running).toHaveCount(before);
});

test("a list is exported as CSV and JSON, with everything that its filter finds", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/alerts?status=all`);
  await expect(page.getByRole("table", { name: "Alerts", exact: true }).getByRole("link").first()).toBeVisible();
  const rows = Number(((await page.getByText(/\d+ alerts? match/).textContent()) ?? "").replace(/\D/g, ""));
  const save = async (name: string) => {
    const file = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export" }).click();
    await page.getByRole("menuitem", { name }).click();
    return readFileSync(await (await file).path(), "utf8");
  };
  const csv = await save("CSV, all rows");
  expect(csv.trimEnd().split("\r\n")).toHaveLength(rows + 1);
  const json = JSON.parse(await save("JSON, all rows")) as unknown[];
  expect(json).toHaveLength(rows);
});

test("the theme is switched with a key, and a telephone shows the analyst's pages", async ({ page }) => {
  test.setTimeout(180_000);
  await signIn(page);
  await page.goto(`${url()}/`);
  await prefer(page, { theme: "dark", language: "en" });
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.keyboard.press("t");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "light");
  await page.setViewportSize({ width: 360, height: 780 });
  for (const path of [
    "/",
    "/incidents",
    "/incidents?view=board",
    "/suppressions",
    "/search?q=scan",
    "/incident-settings",
  ]) {
    await page.goto(url() + path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(360);
  }
});

test("the matrix of ATT&CK calls techniques by name", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/coverage`);
  await page.getByRole("button", { name: /T1046/ }).first().click();
  await expect(page.getByRole("dialog", { name: "T1046 · Network Service Discovery" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("button", { name: /T1071.*Application Layer Protocol/ }).first()).toBeVisible();
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
});
