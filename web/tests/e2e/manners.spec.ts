import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, type Route, test } from "@playwright/test";
import { call, PASSWORD, prefer, signIn, url } from "./people";
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

test("signing out on a slow line ends at the sign-in, and so does a session that ended elsewhere", async ({ page }) => {
  await signIn(page);
  for (const end of ["here", "elsewhere"]) {
    await page.goto(`${url()}/profile`);
    await expect(page.getByRole("heading", { level: 1, name: "Profile" })).toBeVisible();
    // What the sign-in page is made of takes its time.
    const slow = async (route: Route) => {
      await new Promise((later) => setTimeout(later, 1_500));
      await route.fallback();
    };
    await page.route("**/assets/*.js", slow);
    if (end === "here") {
      await page.getByRole("button", { name: "Account and preferences" }).click();
      await page.getByRole("menuitem", { name: "Sign out" }).click();
    } else {
      await call(page.request, "DELETE", "/session");
      await page.getByRole("link", { name: "API keys" }).first().click();
    }
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
    expect(new URL(page.url()).pathname).toBe("/sign-in");
    expect(page.url().length).toBeLessThan(100);
    await page.unroute("**/assets/*.js", slow);
    await signIn(page);
  }
});

type Sight = [path: string, english: string, german: string];

/** Every page of the console behind the sign-in, with something on it. */
async function sights(page: Page): Promise<Sight[]> {
  const get = <T>(path: string) => call<T>(page.request, "GET", path);
  const alerts = () => get<{ items: { id: string; title: string; entity: string }[] }>("/alerts?limit=1");
  if ((await alerts()).items.length === 0) {
    guardian("replay", "--speed", "max", `${ROOT}/captures/ssh-brute-force.ipfix.pcap`);
    await expect.poll(async () => (await alerts()).items.length).toBeGreaterThan(0);
  }
  const [alert] = (await alerts()).items;
  const [rule] = (await get<{ items: { id: string; title: string }[] }>("/rules?limit=1")).items;
  if (!alert || !rule) throw new Error("there is no alert, or no rule");
  const title = "Somebody looked at every page";
  const made = await call<{ id: string }>(page.request, "POST", "/incidents", { title });
  const incident = `/incidents/${made.id}`;
  await call(page.request, "POST", `${incident}/tasks`, { title: "Look at this one, too", phase: "Review" });
  await call(page.request, "POST", `${incident}/comments`, { text: "It is **fine**." });
  const entity = { kind: "ip", value: "203.0.113.80", role: "destination", indicator: true };
  await call(page.request, "POST", `${incident}/entities`, entity);
  const same = (path: string, heading: string): Sight => [path, heading, heading];
  return [
    ["/", "Dashboard", "Übersicht"],
    ["/alerts", "Alerts", "Alarme"],
    ["/alerts?group=rule", "Alerts", "Alarme"],
    same(`/alerts/${alert.id}`, alert.title),
    ["/suppressions", "Suppressions", "Unterdrückungen"],
    same(`/entities/ip/${alert.entity}`, alert.entity),
    [`/search?q=${alert.entity}`, "Search", "Suche"],
    ["/incidents", "Incidents", "Vorfälle"],
    ["/incidents?view=board", "Incidents", "Vorfälle"],
    ...["timeline", "alerts", "tasks", "entities", "evidence", "attack", "related"].map((tab) =>
      same(`${incident}?tab=${tab}`, title),
    ),
    ["/incident-settings", "Clocks and templates", "Fristen und Vorlagen"],
    ["/hunt", "Hunt", "Jagd"],
    ["/rules", "Detection rules", "Erkennungsregeln"],
    ["/rules/new", "New rule", "Neue Regel"],
    ...["text", "exceptions", "versions"].map((tab) => same(`/rules/${rule.id}?tab=${tab}`, rule.title)),
    ["/coverage", "ATT&CK coverage", "ATT&CK-Abdeckung"],
    ["/exporters", "Exporters", "Exporter"],
    ["/hosts", "Hosts", "Hosts"],
    ["/hosts/compare", "Compare hosts", "Hosts vergleichen"],
    ["/enrolment", "Enrolment tokens", "Aufnahme-Token"],
    ["/groups", "Host groups", "Host-Gruppen"],
    ["/policies", "Policies", "Richtlinien"],
    ["/policies/new", "New policy", "Neue Richtlinie"],
    ["/commands", "Commands", "Befehle"],
    ["/users", "Users", "Benutzer"],
    ["/roles", "Roles", "Rollen"],
    ["/tenants", "Tenants", "Mandanten"],
    ["/keys", "API keys", "API-Schlüssel"],
    ["/audit", "Audit trail", "Prüfprotokoll"],
    ["/profile", "Profile and security", "Profil und Sicherheit"],
    ...["inbox", "preferences", "channels", "log"].map<Sight>((tab) => [
      `/notifications?tab=${tab}`,
      "Notifications",
      "Benachrichtigungen",
    ]),
    ["/settings", "Settings", "Einstellungen"],
    ["/start", "Getting started", "Erste Schritte"],
    same("/help/incidents", "Incidents"),
  ];
}

/** Opens a page and waits until it shows its name and what it loads. */
async function open(page: Page, path: string, heading: string): Promise<void> {
  await page.goto(url() + path);
  await expect(page.getByRole("heading", { level: 1, name: heading }).first()).toBeVisible();
  await expect(page.getByRole("status", { name: /^(Loading|Wird geladen)$/ })).toHaveCount(0);
}

test("every page passes axe in both themes and speaks German", async ({ page }) => {
  test.setTimeout(900_000);
  await signIn(page);
  const found: string[] = [];
  const pages = await sights(page);
  for (const [theme, language, name, rules] of [
    ["dark", "en", 1, []],
    // Another theme has other colours and nothing else.
    ["light", "de", 2, ["color-contrast"]],
  ] as const) {
    await page.goto(`${url()}/settings`);
    await prefer(page, { theme, language });
    for (const sight of pages) {
      await open(page, sight[0], sight[name]);
      const axe = new AxeBuilder({ page });
      const { violations } = await (rules.length > 0 ? axe.withRules([...rules]) : axe).analyze();
      for (const { id, nodes } of violations) {
        found.push(`${sight[0]} ${theme} ${id}: ${nodes.map((node) => node.html).join(" ")}`);
      }
    }
  }
  // The account keeps what was chosen, and the next test reads English.
  await prefer(page, {});
  expect(found).toEqual([]);
});

test("the pages before the sign-in pass axe in both themes and fit a telephone", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 780 });
  for (const path of ["/sign-in", "/register", "/link#nothing"]) {
    await page.goto(url() + path);
    for (const theme of ["Dark", "Light"]) {
      await page.getByRole("button", { name: theme, exact: true }).click();
      expect((await new AxeBuilder({ page }).analyze()).violations, `${path} ${theme}`).toEqual([]);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(360);
  }
});

test("a telephone shows cards, and nothing is wider than the screen", async ({ page }) => {
  test.setTimeout(600_000);
  await page.setViewportSize({ width: 360, height: 780 });
  await signIn(page);
  const pages = await sights(page);
  // German words are the longer ones.
  await page.goto(`${url()}/settings`);
  await prefer(page, { language: "de" });
  const wide: string[] = [];
  for (const [path, , heading] of pages) {
    await open(page, path, heading);
    const over = await page.evaluate(() => {
      const main = document.querySelector("main");
      return {
        page: document.documentElement.scrollWidth - innerWidth,
        // What the frame cuts off nobody reads.
        main: (main?.scrollWidth ?? 0) - (main?.clientWidth ?? 0),
        // Only the content scrolls, not the frame around it.
        frame: document.documentElement.scrollHeight - innerHeight,
      };
    });
    for (const [what, pixels] of Object.entries(over)) if (pixels > 0) wide.push(`${path}: ${what} by ${pixels}`);
  }
  await prefer(page, {});
  expect(wide).toEqual([]);
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
