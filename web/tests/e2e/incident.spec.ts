import { readFileSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, expect, type Page, test } from "@playwright/test";
import { addPerson, call, freeAlerts, leaveAlertsAlone, signIn, url } from "./people";
import { guardian, ROOT } from "./server";

/** A browser of one's own for somebody. */
async function browserOf(browser: Browser, name: string): Promise<Page> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-GB", timezoneId: "UTC" });
  const page = await context.newPage();
  await signIn(page, name);
  return page;
}

const passes = async (page: Page) => expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);

test("two people take an alert to a resolved incident, and neither loses what the other wrote", async ({ browser }) => {
  test.setTimeout(300_000);
  const alice = await browserOf(browser, "alice");
  await addPerson(alice, "ben", "operator");
  await leaveAlertsAlone(alice);
  guardian("replay", "--speed", "max", `${ROOT}/captures/scan-horizontal.netflow9.pcap`);
  await freeAlerts(alice, 1);

  await alice.goto(`${url()}/alerts?incident=none&sort=newest`);
  await alice.getByRole("checkbox", { name: "Select row" }).first().check();
  await alice.getByRole("button", { name: "Make incident…" }).click();
  await alice.getByRole("dialog").getByLabel("Title").fill("A scan of the branch office");
  await alice.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  await expect(alice.getByRole("heading", { level: 1, name: /A scan of the branch office/ })).toBeVisible();
  await passes(alice);

  const bob = await browserOf(browser, "ben");
  await bob.goto(alice.url());
  await bob.getByRole("button", { name: "Edit", exact: true }).click();
  const form = bob.getByRole("dialog");
  await form.getByLabel("Title").fill("A scan of the branch office, from inside");

  // Alice is quicker, with another field.
  await alice.getByRole("button", { name: "Edit", exact: true }).click();
  await alice.getByRole("dialog").getByLabel("Tags").fill("branch");
  await alice.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(alice.getByRole("dialog")).toBeHidden();

  await form.getByRole("button", { name: "Save" }).click();
  await expect(form.getByRole("alert")).toContainText("Somebody changed it meanwhile");
  await expect(form.getByRole("alert")).toContainText("branch");
  await expect(form.getByLabel("Title")).toHaveValue("A scan of the branch office, from inside");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(form).toBeHidden();

  // Both changes hold, and Alice sees Bob's without asking.
  await expect(alice.getByRole("heading", { level: 1, name: /from inside/ })).toBeVisible();
  await expect(bob.getByRole("main").getByText("branch", { exact: true })).toBeVisible();

  await bob.getByRole("textbox", { name: "Comment" }).fill("It was @al");
  await bob.getByRole("button", { name: "Mention alice" }).click();
  await bob.getByRole("textbox", { name: "Comment" }).press("End");
  await bob.getByRole("textbox", { name: "Comment" }).pressSequentially("who scanned.");
  await bob.getByRole("button", { name: "Send" }).click();
  await expect(alice.getByText("It was @alice who scanned.")).toBeVisible();

  await alice.getByRole("tab", { name: /Tasks/ }).click();
  await alice.getByLabel("What is to be done").fill("Ask the branch office");
  await alice.getByRole("button", { name: "Add task", exact: true }).click();
  await bob.getByRole("tab", { name: /Tasks/ }).click();
  await bob.getByRole("combobox", { name: /Status of Ask the branch office/ }).click();
  await bob.getByRole("option", { name: "Done" }).click();
  await expect(alice.getByRole("combobox", { name: /Status of Ask the branch office: Done/ })).toBeVisible();

  await alice.getByRole("tab", { name: /Evidence/ }).click();
  await alice
    .getByLabel("Add file")
    .setInputFiles({ name: "answer.txt", mimeType: "text/plain", buffer: Buffer.from("We did.") });
  await expect(alice.getByText("answer.txt")).toBeVisible();
  await alice.getByRole("button", { name: "Verify: answer.txt" }).click();
  await expect(alice.getByText("answer.txt is intact")).toBeVisible();
  await alice.getByRole("button", { name: "Chain of custody of answer.txt" }).click();
  await expect(alice.getByRole("dialog").getByRole("cell", { name: "Verified" })).toBeVisible();
  await passes(alice);
  await alice.keyboard.press("Escape");

  await bob.getByRole("button", { name: "Change status" }).click();
  await bob.getByRole("menuitem", { name: "Resolved" }).click();
  await bob.getByLabel("Resolution").fill("An inventory scan that nobody had announced.");
  await bob.getByRole("dialog").getByRole("button", { name: "Resolved" }).click();
  await expect(alice.getByRole("main").getByText("Resolved", { exact: true }).first()).toBeVisible();

  const [file] = await Promise.all([
    alice.waitForEvent("download"),
    alice
      .getByRole("button", { name: "Report", exact: true })
      .click()
      .then(() => alice.getByRole("menuitem", { name: "Report as Markdown" }).click()),
  ]);
  const report = readFileSync(await file.path(), "utf8");
  expect(report).toContain("A scan of the branch office, from inside");
  expect(report).toContain("An inventory scan that nobody had announced.");
});

interface Made {
  id: string;
  number: number;
}

test("incidents are changed in bulk with a way back, split, merged and unmerged", async ({ page }) => {
  test.setTimeout(300_000);
  await signIn(page);
  for (const capture of ["ssh-brute-force.netflow9", "beacon.netflow9"])
    guardian("replay", "--speed", "max", `${ROOT}/captures/${capture}.pcap`);
  const alerts = (await freeAlerts(page, 2)).slice(0, 2);
  const first = await call<Made>(page.request, "POST", "/incidents", { title: "Holds two alerts", alerts });
  const second = await call<Made>(page.request, "POST", "/incidents", { title: "Stands alone", severity: "low" });

  await page.goto(`${url()}/incidents?q=alone`);
  await page.getByRole("checkbox", { name: "Select row" }).first().check();
  await page.getByRole("button", { name: "Assign" }).click();
  await page.getByRole("menuitem", { name: "To me" }).click();
  await expect(page.getByText("1 changed", { exact: true })).toBeVisible();
  await expect(page.getByRole("cell", { name: "alice" })).toBeVisible();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(page.getByText("1 is as before")).toBeVisible();
  await expect(page.getByRole("cell", { name: "Nobody" })).toBeVisible();

  await page.goto(`${url()}/incidents/${first.number}?tab=alerts`);
  await page
    .getByRole("checkbox", { name: /^Select / })
    .first()
    .check();
  await page.getByRole("button", { name: "Split…" }).click();
  await page.getByRole("dialog").getByLabel("Title").fill("Split from the other");
  await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  await expect(page.getByRole("heading", { level: 1, name: /Split from the other/ })).toBeVisible();

  await page.goto(`${url()}/incidents/${first.number}?tab=related`);
  await page.getByLabel("Number of the incident").fill(String(second.number));
  await page.getByRole("button", { name: "Merge another…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Merge into this" }).click();
  await expect(page.getByText("Merged by alice")).toBeVisible();
  await page.goto(`${url()}/incidents/${second.number}`);
  await expect(page.getByText("This incident was merged into another.")).toBeVisible();
  await page.goto(`${url()}/incidents/${first.number}?tab=related`);
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await expect(page.getByText("Undone by alice")).toBeVisible();

  await page.getByRole("tab", { name: "ATT&CK" }).click();
  await expect(page.getByRole("list", { name: "ATT&CK" })).toBeVisible();
  await passes(page);
});

test("an alert keeps its like away, and the suppression can be changed and taken back", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/alerts?status=all&sort=newest`);
  await page.getByRole("table", { name: "Alerts", exact: true }).getByRole("link").first().click();
  await page.getByRole("button", { name: "Suppress like this…" }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("Our own scanner.");
  await page.getByRole("dialog").getByRole("button", { name: "Suppress", exact: true }).click();
  await expect(page.getByText("Suppressed from now on")).toBeVisible();

  await page.goto(`${url()}/suppressions`);
  await expect(page.getByText("Our own scanner.")).toBeVisible();
  await passes(page);
  await page.getByRole("button", { name: /^Edit: / }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("Our own scanner, in its window.");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Our own scanner, in its window.")).toBeVisible();
  await page.getByRole("button", { name: /^Delete: / }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("Nothing is suppressed")).toBeVisible();
});
