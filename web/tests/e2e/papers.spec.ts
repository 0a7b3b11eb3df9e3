import { readFileSync } from "node:fs";
import { expect, type Page, test } from "@playwright/test";
import { addPerson, call, freeAlerts, leaveAlertsAlone, prefer, signIn, url } from "./people";
import { guardian, ROOT } from "./server";

test.describe.configure({ timeout: 300_000 });

/** What the browser saves when an entry of a menu is chosen. */
async function saved(page: Page, menu: string, entry: string): Promise<{ name: string; bytes: Buffer }> {
  await page.getByRole("button", { name: menu, exact: true }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: entry }).click();
  const file = await download;
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

const isPdf = ({ bytes }: { bytes: Buffer }) => bytes.subarray(0, 5).toString() === "%PDF-" && bytes.length > 2_000;

/** Makes every page of the list of alerts one row long: what is exported has to be fetched page by page. */
async function shortPages(page: Page, wait = 0): Promise<{ asked: number }> {
  const told = { asked: 0 };
  await page.route(/\/api\/v1\/alerts\?/, async (route) => {
    told.asked += 1;
    if (wait > 0 && route.request().url().includes("cursor=")) await new Promise((done) => setTimeout(done, wait));
    await route.continue({ url: route.request().url().replace("limit=500", "limit=1") });
  });
  return told;
}

test("a list is exported whole, page by page, and can be called off", async ({ page }) => {
  await signIn(page);
  await leaveAlertsAlone(page);
  for (const capture of ["scan-vertical", "dns-tunnel", "scan-horizontal"])
    guardian("replay", "--speed", "max", `${ROOT}/captures/${capture}.netflow9.pcap`);
  const count = async () => (await call<{ total: number }>(page.request, "GET", "/alerts/counts")).total;
  await expect.poll(count).toBeGreaterThan(1);
  const told = await shortPages(page);
  await page.goto(`${url()}/alerts?status=all`);
  await expect(page.getByRole("table", { name: "Alerts" }).getByRole("row").nth(1)).toBeVisible();
  const total = await count();
  const csv = await saved(page, "Export", "CSV, all rows");
  expect(csv.name).toBe("alerts.csv");
  expect(csv.bytes.toString().trimEnd().split("\r\n")).toHaveLength(total + 1);
  await expect(page.getByText(`${total} rows exported`)).toBeVisible();
  expect(told.asked).toBeGreaterThanOrEqual(total);
  const json = await saved(page, "Export", "JSON, all rows");
  const rows = JSON.parse(json.bytes.toString()) as { id: string }[];
  expect(new Set(rows.map((row) => row.id)).size).toBe(total);

  await page.unroute(/\/api\/v1\/alerts\?/);
  await shortPages(page, 5_000);
  await page.getByRole("button", { name: "Export", exact: true }).click();
  await page.getByRole("menuitem", { name: "CSV, all rows" }).click();
  await page.getByRole("button", { name: "Stop the export" }).click();
  await expect(page.getByText("Export stopped; nothing was saved")).toBeVisible();
  await expect(page.getByRole("button", { name: "Export", exact: true })).toBeVisible();
});

test("alerts, an incident and a period are put on paper, for whoever sees names", async ({ page, browser }) => {
  await signIn(page);
  const [alert] = await freeAlerts(page, 1);
  const { number } = await call<{ number: number }>(page.request, "POST", "/incidents", {
    title: "Printed",
    severity: "high",
    alerts: [alert],
  });
  await page.goto(`${url()}/alerts?status=all`);
  expect(isPdf(await saved(page, "Export", "PDF, up to 1,000 alerts"))).toBe(true);
  await page.goto(`${url()}/incidents/${number}`);
  const report = await saved(page, "Report", "Report as PDF");
  expect(report.name).toBe(`incident-${number}.pdf`);
  expect(isPdf(report)).toBe(true);
  expect((await saved(page, "Report", "Report as Markdown")).bytes.toString()).toContain("Printed");
  expect(JSON.parse((await saved(page, "Report", "Report as JSON")).bytes.toString())).toHaveProperty("number", number);

  await page.goto(`${url()}/`);
  await prefer(page, { language: "de" });
  const asked = page.waitForRequest(/\/reports\/summary\?.*format=pdf/);
  expect(isPdf(await saved(page, "Zusammenfassung dieses Zeitraums", "Zusammenfassung als PDF"))).toBe(true);
  expect((await asked).url()).toContain("language=de");
  await prefer(page, { language: "en" });

  await addPerson(page, "viola", "viewer");
  const viola = await (await browser.newContext()).newPage();
  await signIn(viola, "viola");
  for (const [path, menu, entry] of [
    ["/", "Summary of this range", "Summary as PDF"],
    ["/alerts", "Export", "PDF, up to 1,000 alerts"],
    [`/incidents/${number}`, "Report", "Report as PDF"],
  ] as const) {
    await viola.goto(url() + path);
    await viola.getByRole("button", { name: menu, exact: true }).click();
    const paper = viola.getByRole("menuitem", { name: entry });
    await expect(paper).toBeDisabled();
    await expect(paper).toContainText("your role sees pseudonyms only");
  }
  await viola.context().close();
});
