import { AxeBuilder } from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { PASSWORD, prefer, signIn, url } from "./people";
import { guardian, ROOT } from "./server";

test("an unknown visitor is led to the sign-in and back", async ({ page }) => {
  await page.goto(`${url()}/rules`);
  await page.getByLabel("Name", { exact: true }).fill("alice");
  await page.getByLabel("Password", { exact: true }).fill("wrong");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("alert")).toHaveText("Name or password is wrong.");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Detection rules" })).toBeVisible();
});

test("every page passes axe in both themes and speaks German", async ({ page }) => {
  test.setTimeout(480_000);
  await signIn(page);
  const pages: [path: string, english: string, german: string][] = [
    ["/", "Dashboard", "Übersicht"],
    ["/alerts", "Alerts", "Alarme"],
    ["/hunt", "Hunt", "Jagd"],
    ["/rules", "Detection rules", "Erkennungsregeln"],
    ["/exporters", "Exporters", "Exporter"],
    ["/users", "Users", "Benutzer"],
    ["/roles", "Roles", "Rollen"],
    ["/keys", "API keys", "API-Schlüssel"],
    ["/settings", "Settings", "Einstellungen"],
    ["/profile", "Profile and security", "Profil und Sicherheit"],
  ];
  const found: string[] = [];
  for (const [path, english, german] of pages) {
    for (const [theme, language, heading] of [
      ["dark", "en", english],
      ["light", "de", german],
    ] as const) {
      await page.goto(url() + path);
      await prefer(page, { theme, language });
      await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
      const { violations } = await new AxeBuilder({ page }).analyze();
      for (const { id, nodes } of violations) {
        found.push(`${path} ${theme} ${id}: ${nodes.map((node) => node.html).join(" ")}`);
      }
    }
  }
  // The account keeps what was chosen, and the next test reads English.
  await prefer(page, {});
  expect(found).toEqual([]);
});

test("a telephone shows cards, and nothing is wider than the screen", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 780 });
  await signIn(page);
  for (const path of ["/", "/alerts", "/hunt", "/rules", "/users"]) {
    await page.goto(url() + path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  }
});

test("a lost connection shows, comes back, and catches up", async ({ page }) => {
  await signIn(page);
  let cut = false;
  let close = () => {};
  await page.routeWebSocket(/\/api\/v1\/stream/, (socket) => {
    if (cut) {
      void socket.close();
      return;
    }
    socket.connectToServer();
    close = () => void socket.close();
  });
  await page.goto(`${url()}/alerts`);
  await expect(page.getByRole("status", { name: "Live" })).toBeVisible();
  cut = true;
  close();
  await expect(page.getByRole("alert")).toContainText("The connection to the server is lost");
  guardian("replay", "--speed", "max", `${ROOT}/captures/ssh-brute-force.ipfix.pcap`);
  cut = false;
  await expect(page.getByRole("status", { name: "Live" })).toBeVisible();
  await expect(page.getByRole("link", { name: /SSH brute force/i }).first()).toBeVisible();
});

test("a hunt pivots, SQL answers, and a rule is checked while it is written", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/hunt`);
  const first = page
    .getByRole("table", { name: "Flows" })
    .getByRole("button", { name: /^Actions for 198\.51\.100\.66/ })
    .first();
  await first.click();
  await page.getByRole("menuitem", { name: /^Filter for/ }).click();
  await expect(page).toHaveURL(/filter=src_ip/);
  await page.getByRole("button", { name: "SQL", exact: true }).click();
  await page.getByRole("main").getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByText(/rows? in \d+ ms/)).toBeVisible();
  await page.goto(`${url()}/rules/new`);
  await expect(page.getByText("The text is in order and can run.")).toBeVisible();
  await page.getByRole("textbox", { name: "Rule text (Sigma)" }).focus();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("level: enormous\n");
  await expect(page.getByText("The text cannot run yet.")).toBeVisible();
});

test("the keyboard reaches everything", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/`);
  await expect(page.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await expect(page.getByRole("heading", { level: 1, name: "Alerts" })).toBeVisible();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("rules");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Detection rules" })).toBeVisible();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
});
