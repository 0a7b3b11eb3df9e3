import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { signIn, url } from "./people";
import { guardian, ROOT } from "./server";

const passes = async (page: Page) => expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

test("an attack is replayed while the dashboard is open, and its alert arrives by itself", async ({ page }) => {
  test.setTimeout(180_000);
  await signIn(page);
  await page.goto(`${url()}/?replay=include`);
  const feed = page
    .getByRole("region", { name: "Latest alerts" })
    .or(page.locator("section", { hasText: "Latest alerts" }));
  await expect(page.getByRole("heading", { level: 2, name: "Latest alerts" })).toBeVisible();
  await expect(page.getByRole("status", { name: "Live" })).toBeVisible();
  await expect(feed.getByText(/DNS tunnel/i)).toHaveCount(0);
  const figure = page.locator("dl", { has: page.getByRole("link", { name: "New alerts" }) });
  const before = await figure.textContent();
  guardian("replay", "--speed", "max", `${ROOT}/captures/dns-tunnel.netflow9.pcap`);
  // Nothing is touched: the feed and the figures change by what arrives.
  await expect(feed.getByRole("link", { name: /DNS/i }).first()).toBeVisible();
  await expect.poll(() => figure.textContent()).not.toBe(before);
  await passes(page);
});

test("tiles are arranged with the keyboard and the mouse, and stay so in another browser", async ({
  page,
  browser,
}) => {
  test.setTimeout(180_000);
  // All tiles at once, so that the mouse reaches them.
  await page.setViewportSize({ width: 1440, height: 2000 });
  await signIn(page);
  await page.goto(`${url()}/`);
  const order = (of: Page) =>
    of.locator("[data-tile]").evaluateAll((tiles) => tiles.map((tile) => (tile as HTMLElement).dataset.tile));
  await expect(page.locator("[data-tile=volume]")).toBeVisible();
  await page.getByRole("button", { name: "Arrange tiles" }).click();
  await page.getByRole("button", { name: "Move Alerts by severity" }).focus();
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => order(page)).toEqual(expect.arrayContaining(["feed", "volume"]));
  expect((await order(page)).indexOf("volume")).toBe(2);
  await expect(page.getByRole("button", { name: "Move Alerts by severity" })).toBeFocused();
  await page.getByRole("button", { name: "Hide Top talkers" }).click();
  await expect(page.locator("[data-tile=talkers]")).toHaveCount(0);

  const handle = await page.getByRole("button", { name: "Move Latest alerts" }).boundingBox();
  const target = await page.getByRole("button", { name: "Move Key figures" }).boundingBox();
  if (!handle || !target) throw new Error("both tiles are shown");
  await page.mouse.move(handle.x + 20, handle.y + 10);
  await page.mouse.down();
  await page.mouse.move(target.x + 40, target.y + 12, { steps: 6 });
  await page.mouse.up();
  await expect.poll(async () => (await order(page))[0]).toBe("feed");
  await passes(page);
  const arranged = await order(page);
  const saved = page.waitForResponse((answer) => answer.url().endsWith("/preferences") && answer.ok());
  await page.getByRole("button", { name: "Done" }).click();
  await Promise.race([saved, page.waitForTimeout(3_000)]);

  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const other = await context.newPage();
  await signIn(other);
  await other.goto(`${url()}/`);
  await expect.poll(() => order(other)).toEqual(arranged);
  await page.getByRole("button", { name: "Arrange tiles" }).click();
  await page.getByRole("button", { name: "Back to the standard" }).click();
  await expect.poll(async () => (await order(page))[0]).toBe("figures");
  await context.close();
});

test("one address leads from the alert to everything about it, and from there to its flows", async ({ page }) => {
  test.setTimeout(180_000);
  await signIn(page);
  await page.goto(`${url()}/alerts?status=all&q=scan`);
  const entity = page.getByRole("table", { name: "Alerts", exact: true }).locator('a[href*="/entities/ip/"]').first();
  const address = ((await entity.textContent()) ?? "").trim();
  await entity.click();
  await expect(page.getByRole("heading", { level: 1, name: address })).toBeVisible();
  await expect(page.getByRole("list", { name: "What happened" }).getByRole("link").first()).toBeVisible();
  await expect(page.getByRole("heading", { level: 2, name: "Whom it talks to" })).toBeVisible();
  await passes(page);
  await page.getByRole("link", { name: "Hunt its flows" }).click();
  await expect(
    page
      .getByRole("table", { name: "Flows" })
      .getByRole("button", { name: `Actions for ${address}` })
      .first(),
  ).toBeVisible();
});

test("the search finds an address, an alert and a rule, from the palette and on its page", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/alerts`);
  await expect(page.getByRole("heading", { level: 1, name: "Alerts" })).toBeVisible();
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.type("port scan");
  await expect(page.getByRole("option", { name: /port scan/i }).first()).toBeVisible();
  await page.getByRole("option", { name: /Search everything for/ }).click();
  await expect(page.getByRole("heading", { level: 2, name: "Alerts" })).toBeVisible();
  await expect(page.getByRole("heading", { level: 2, name: "Rules" })).toBeVisible();
  await passes(page);
  await page.getByRole("searchbox").fill("192.0.2.1");
  await page
    .getByRole("button", { name: /192\.0\.2\.1/ })
    .first()
    .click();
  await expect(page).toHaveURL(/\/entities\/ip\/192\.0\.2\.1/);
});

test("a view is saved, shared, opened by default, and taken back", async ({ page }) => {
  test.setTimeout(180_000);
  await signIn(page);
  await page.goto(`${url()}/alerts?status=all&severity=high`);
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Save this view…" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("Everything that is bad");
  await page.getByRole("dialog").getByRole("switch", { name: "Share with everybody in the tenant" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Manage…" }).click();
  await page.getByRole("button", { name: "Actions for Everything that is bad" }).click();
  await page.getByRole("menuitem", { name: "Open by default" }).click();
  await expect(page.getByRole("dialog").getByText("Default", { exact: true })).toBeVisible();
  await passes(page);
  await page.keyboard.press("Escape");
  await page.goto(`${url()}/alerts`);
  await expect(page).toHaveURL(/severity=high/);
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Manage…" }).click();
  await page.getByRole("button", { name: "Actions for Everything that is bad" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await expect(page.getByText("No saved view yet")).toBeVisible();
});

test("a hunt is saved, and found again by its name", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/hunt?filter=${encodeURIComponent("dst_port = 22")}`);
  await page.getByRole("button", { name: "Saved hunts" }).click();
  await page.getByRole("menuitem", { name: "Save this hunt…" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("Who logs in");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.goto(`${url()}/hunt`);
  await page.getByRole("button", { name: "Saved hunts" }).click();
  await page.getByRole("menuitem", { name: "Who logs in" }).click();
  await expect(page).toHaveURL(/dst_port/);
  await page.getByRole("button", { name: "Make a rule" }).click();
  await expect(page).toHaveURL(/\/rules\/new/);
  await expect(page.getByText("The text is in order and can run.")).toBeVisible();
});
