import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { agentProgram, Machine, simulate } from "./agent";
import { addPerson, call, PASSWORD, prefer, signIn, url } from "./people";

const program = agentProgram();
/** Where agents reach the server, whatever shows the console. */
const address = () => process.env.E2E_ADDRESS ?? url();
const machines: Machine[] = [];

test.describe.configure({ mode: "serial" });
test.afterAll(async () => {
  for (const machine of machines) await machine.stop();
});

function machine(): Machine {
  const made = new Machine(program);
  machines.push(made);
  return made;
}

/** A fresh proof, so that sensitive things need no dialog; the dialog has a test of its own. */
const prove = (page: Page) => call(page.request, "POST", "/session/proof", { password: PASSWORD });
const violations = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations;

/** Makes the token of a wizard that is open; the commands it tells to paste. */
async function tokenOf(page: Page, name: string): Promise<string[]> {
  const wizard = page.getByRole("dialog", { name: "Enrol a machine" });
  await wizard.getByLabel("Name", { exact: true }).fill(name);
  await wizard.getByLabel("Tags").fill("web, night");
  await wizard.getByRole("button", { name: "Make the token" }).click();
  const said = await wizard.getByLabel("Commands for the machine").innerText();
  return said.replaceAll(url(), address()).split("\n");
}

test("the first machine is enrolled by what the console tells to paste, and arrives while one looks", async ({
  page,
}) => {
  await signIn(page);
  await page.goto(`${url()}/hosts`);
  await expect(page.getByText("No machine is watched yet")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Enrol your first machine" }).click();
  const [enroll = "", run = ""] = await tokenOf(page, "web servers");
  const wizard = page.getByRole("dialog", { name: "Enrol a machine" });
  await expect(wizard.getByText("Waiting for the machine…")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  const one = machine();
  writeFileSync(join(one.watched, "app.conf"), "port = 80\n");
  one.paste(enroll, "--name", "web-1");
  await expect(wizard.getByText("web-1 came in")).toBeVisible();
  one.paste(run, "--health-every", "1", "--files", one.watched);
  await expect(wizard.getByText("web-1 is connected")).toBeVisible();
  await wizard.getByRole("link", { name: "Open web-1" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "web-1" })).toBeVisible();
  await expect(page.getByText("Online", { exact: true })).toBeVisible();
  await page.goto(`${url()}/enrolment`);
  await expect(page.getByText("1 of 1")).toBeVisible();
  await expect(page.getByText("Used up", { exact: true }).last()).toBeVisible();
});

test("the page of a host shows its health, its processes below their parents, its files, and is searched", async ({
  page,
}) => {
  await signIn(page);
  const [one] = machines;
  const id = one?.host ?? "";
  await page.goto(`${url()}/hosts/${id}?range=1h`);
  await expect(page.getByRole("figure", { name: "Processor" })).toBeVisible();
  await expect(page.getByRole("figure", { name: "Memory" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("tab", { name: "Files" }).click();
  await page.getByRole("button", { name: "Unexplained changes" }).click();
  const changed = page.getByRole("row").filter({ hasText: "app.conf" }).filter({ hasText: "changed" });
  // The baseline takes a moment, and what changes before it is no change.
  await expect(async () => {
    appendFileSync(join(one?.watched ?? "", "app.conf"), "debug = on\n");
    await expect(changed.first()).toBeVisible({ timeout: 15_000 });
  }).toPass();
  await changed.first().click();
  await expect(page.getByRole("dialog").getByText("All columns")).toBeVisible();
  await expect(page.getByRole("region", { name: "What changed in the text" }).getByText("+debug = on")).toBeVisible();
  await page.keyboard.press("Escape");
  await page.getByRole("tab", { name: "Agent", exact: true }).click();
  await expect(page.getByText("Nothing was lost since the agent started.")).toBeVisible();
  for (const tab of ["Timeline", "Network", "Sign-ins", "Logs", "Policy"]) {
    await page.getByRole("tab", { name: tab }).click();
    await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
  }
  const events = await call<{ items: unknown[] }>(page.request, "GET", `/hosts/${id}/events?class=processes&limit=1`);
  await page.getByRole("tab", { name: "Processes" }).click();
  // Without the right to hear the kernel, as in most containers, there are none.
  if (events.items.length > 0)
    await expect(page.getByRole("button", { name: /^(Show|Hide) what / }).first()).toBeVisible();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("web-1");
  await expect(page.getByRole("option", { name: /web-1/ }).first()).toBeVisible();
});

test("tags are given to many over all pages and taken back, and views keep a filter", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/enrolment`);
  await page.getByRole("button", { name: "Enrol machines" }).click();
  const dialog = page.getByRole("dialog", { name: "Enrol a machine" });
  await dialog.getByRole("combobox", { name: /How many machines/ }).click();
  await page.getByRole("option", { name: "Any number" }).click();
  const [enroll = ""] = await tokenOf(page, "many");
  await dialog.getByRole("button", { name: "Close" }).last().click();
  simulate(program, address(), enroll.split(" ").at(-1) ?? "", 520, 5);
  await page.goto(`${url()}/hosts?q=sim-`);
  await expect(page.getByText("520 hosts")).toBeVisible();
  await page.getByRole("checkbox", { name: "Select all" }).click();
  await page.getByRole("button", { name: "Select all 520 that match" }).click();
  await page.getByRole("button", { name: "Label" }).click();
  await page.getByRole("menuitem", { name: "Add tag…" }).click();
  await page.getByRole("dialog").getByLabel("Tags").fill("lab");
  await page.getByRole("button", { name: "Apply to 520 hosts" }).click();
  await expect(page.getByText("520 hosts changed")).toBeVisible();
  const tagged = async () =>
    (await call<{ tags: Record<string, number> }>(page.request, "GET", "/hosts/figures")).tags.lab ?? 0;
  expect(await tagged()).toBe(520);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect.poll(tagged).toBe(0);
  await page.goto(`${url()}/hosts?q=sim-&tag=night`);
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Save this view…" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("Night shift");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.goto(`${url()}/hosts`);
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: /Night shift/ }).click();
  await expect(page).toHaveURL(/tag=night/);
});

test("two hosts are compared, one is changed, and hosts are removed", async ({ page }) => {
  await signIn(page);
  const { items } = await call<{ items: { id: string; name: string }[] }>(
    page.request,
    "GET",
    "/hosts?search=sim-0000",
  );
  const [a, b] = [machines[0]?.host ?? "", items[0]?.id ?? ""];
  await page.goto(`${url()}/hosts/compare?a=${a}&b=${b}`);
  await expect(page.getByRole("region", { name: "Facts" }).getByText("(differs)").first()).toBeAttached();
  expect(await violations(page)).toEqual([]);
  await page.goto(`${url()}/hosts/${b}`);
  await page.getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: "Name, tags, groups…" }).click();
  await page.getByLabel("Groups").fill("shop");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("link", { name: "shop" })).toBeVisible();
  await prove(page);
  await page.getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: "Shut out…" }).click();
  await page.getByRole("button", { name: "Shut out", exact: true }).click();
  await expect(page.getByText(/^It was shut out/)).toBeVisible();
  await page.goto(`${url()}/hosts?q=sim-`);
  await page.getByRole("checkbox", { name: "Select all" }).click();
  await page.getByRole("button", { name: "Select all 520 that match" }).click();
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.getByText("No host matches")).toBeVisible();
});

test("a group is made by an expression, and a policy for it reaches the host with where it comes from", async ({
  page,
}) => {
  await signIn(page);
  await page.goto(`${url()}/groups`);
  await page.getByRole("button", { name: "New group" }).first().click();
  const form = page.getByRole("dialog", { name: "New group" });
  await form.getByLabel("Name").fill("web");
  await form.getByLabel("Expression").fill("tga = web");
  await expect(form.getByText(/did you mean/)).toBeVisible();
  await form.getByLabel("Expression").fill("tag = web");
  await expect(form.getByText("1 host fits now")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await form.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("row").filter({ hasText: "tag = web" })).toBeVisible();

  await page.goto(`${url()}/policies/new`);
  await page.getByLabel("Name", { exact: true }).fill("often");
  const editor = page.getByRole("textbox", { name: "Policy (JSON)" });
  const write = async (source: string) => {
    await editor.focus();
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText(source);
  };
  await write('{"intervals": {"health_s": ');
  await expect(page.getByText(/This is no JSON object/)).toBeVisible();
  await write('{"intervals": {"helth_s": 2}}');
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The server refuses it:")).toBeVisible();
  await write('{"spool": {"mib_max": 64}}');
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Version 1", { exact: true }).first()).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await write('{"spool": {"mib_max": 96}}');
  await page.getByLabel("About this version").fill("More room");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("tab", { name: /Versions/ }).click();
  await expect(page.getByText("More room")).toBeVisible();
  await expect(page.getByRole("region", { name: "What changed" }).getByText('"mib_max": 96')).toBeVisible();

  await page.goto(`${url()}/policies?view=order`);
  await page.getByRole("combobox", { name: /^Group/ }).click();
  await page.getByRole("option", { name: "web" }).click();
  await page.getByRole("button", { name: "Assign", exact: true }).click();
  await expect(page.getByText("Hosts run it within seconds")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.goto(`${url()}/hosts/${machines[0]?.host}?tab=policy&only=notable`);
  await expect(page.getByText(/^It runs version 1/)).toBeVisible();
  const value = page.getByRole("row").filter({ hasText: "spool.mib_max" });
  await expect(value).toContainText("96");
  await expect(value).toContainText("often, version 2");
});

test("a host does what it is told: first as a dry run, then for real, seen live", async ({ page }) => {
  await signIn(page);
  await prove(page);
  const id = machines[0]?.host;
  await page.goto(`${url()}/hosts/${id}`);
  await page.getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: "Have it do…" }).click();
  const dialog = page.getByRole("dialog", { name: /do something/ });
  expect(await violations(page)).toEqual([]);
  await dialog.getByLabel("Why").fill("To see that it can");
  await dialog.getByRole("button", { name: "Dry run" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Read watched files now" })).toBeVisible();
  await expect(page.getByText("Ended", { exact: true }).first()).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Do it for real…" }).click();
  await page.getByRole("button", { name: "Do it", exact: true }).click();
  await expect(page.getByRole("button", { name: "Do it for real…" })).toHaveCount(0);
  const row = page.getByRole("row").filter({ hasText: "web-1" });
  await expect(row.getByText("Done", { exact: true })).toBeVisible();
  await row.click();
  await expect(page.getByRole("dialog", { name: "web-1" })).toBeVisible();
  await page.goto(`${url()}/commands?host=${id}`);
  await expect(page.getByRole("row").filter({ hasText: "To see that it can" })).toHaveCount(2);
});

test("the actions of a host show what holds there, and are given, undone, given again and ended from there", async ({
  page,
}) => {
  await signIn(page);
  await prove(page);
  const [one] = machines;
  const odd = join(one?.watched ?? "", "odd.sh");
  writeFileSync(odd, "echo odd\n");
  await page.goto(`${url()}/hosts/${one?.host}`);
  await page.getByRole("tab", { name: "Actions" }).click();
  const standing = page.getByRole("region", { name: "What stands here now" });
  const list = page.getByRole("table", { name: "What it was told to do" });
  const row = (...words: string[]) =>
    words.reduce((rows, word) => rows.filter({ hasText: word }), list.getByRole("row"));
  await expect(row("Read watched files now", "Done")).toHaveCount(2);
  await expect(row("Read watched files now", "Dry run")).toContainText("To see that it can");
  await expect(standing).toContainText("It is not isolated");
  expect(await violations(page)).toEqual([]);

  await page.getByRole("button", { name: "Have it do…" }).click();
  const form = page.getByRole("dialog", { name: /do something/ });
  await form.getByRole("combobox", { name: "What" }).click();
  await page.getByRole("option", { name: "Quarantine a file" }).click();
  await form.getByLabel("Path").fill(odd);
  await form.getByLabel("Why").fill("It looks odd");
  await form.getByRole("button", { name: "Do it on 1 host" }).click();
  // All that follows is seen without loading the page again.
  await expect(row(odd, "Done", "It looks odd")).toBeVisible();
  await expect(row(odd)).toContainText("was taken away");
  await expect(standing.getByRole("listitem")).toContainText(odd);
  expect(existsSync(odd)).toBe(false);
  expect(await violations(page)).toEqual([]);

  await page.getByRole("button", { name: `What can be done about it: Quarantine a file ${odd}` }).click();
  await page.getByRole("menuitem", { name: "Undo…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Undo", exact: true }).click();
  await expect(row("Undo", "Done")).toBeVisible();
  await expect(standing).toContainText("It is not isolated");
  expect(existsSync(odd)).toBe(true);

  await row(odd, "It looks odd").getByText("was taken away").click();
  const sheet = page.getByRole("dialog", { name: "Quarantine a file" });
  await expect(sheet.getByRole("heading", { name: "What was done" })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await sheet.getByRole("button", { name: "Give again…" }).click();
  await expect(form.getByLabel("Path")).toHaveValue(odd);
  await form.getByRole("button", { name: "Dry run" }).click();
  await expect(row(odd, "Dry run", "Done")).toBeVisible();
  expect(existsSync(odd)).toBe(true);
  await row(odd, "Dry run")
    .getByRole("button", { name: /^What can be done about it/ })
    .click();
  await page.getByRole("menuitem", { name: "Do it for real…" }).click();
  await page.getByRole("button", { name: "Do it", exact: true }).click();
  await expect(standing.getByRole("listitem")).toContainText(odd);
  await standing.getByRole("button", { name: `Restore ${odd}…` }).click();
  await form.getByRole("button", { name: "Do it", exact: true }).click();
  await expect(row("Restore a file", "Done")).toBeVisible();
  await expect(standing).toContainText("It is not isolated");
  expect(existsSync(odd)).toBe(true);

  await page.getByRole("combobox", { name: "Action" }).click();
  await page.getByRole("option", { name: "Restore a file" }).click();
  await expect(row("Quarantine a file")).toHaveCount(0);
  await expect(row("Restore a file")).toHaveCount(1);
});

test("pages of hosts pass axe in both themes and fit a telephone in German, and a viewer may look alone", async ({
  page,
}) => {
  test.setTimeout(600_000);
  await signIn(page);
  const id = machines[0]?.host;
  const tabs = ["posture", "timeline", "processes", "network", "files", "logins", "logs", "actions", "policy", "agent"];
  const paths = [
    "/hosts",
    "/enrolment",
    "/groups",
    "/policies",
    "/policies?view=order",
    "/policies/new",
    "/commands",
    `/hosts/compare?hosts=${id}`,
    ...tabs.map((tab) => `/hosts/${id}?tab=${tab}`),
  ];
  const found: string[] = [];
  for (const [theme, width] of [
    ["dark", 1440],
    ["light", 360],
  ] as const) {
    await page.setViewportSize({ width, height: 800 });
    await page.goto(`${url()}/settings`);
    await prefer(page, { theme, language: theme === "light" ? "de" : "en" });
    for (const path of paths) {
      await page.goto(url() + path);
      await expect(page.getByRole("heading", { level: 1 }).first()).toBeVisible();
      await expect(page.getByRole("status", { name: /^(Loading|Wird geladen)$/ })).toHaveCount(0);
      for (const { id: rule, nodes } of await violations(page)) {
        found.push(`${path} ${theme} ${rule}: ${nodes.map((node) => node.html).join(" ")}`);
      }
      const over = await page.evaluate(() => {
        const main = document.querySelector("main");
        return Math.max(
          document.documentElement.scrollWidth - innerWidth,
          (main?.scrollWidth ?? 0) - (main?.clientWidth ?? 0),
        );
      });
      if (over > 0) found.push(`${path} is wider by ${over}`);
    }
  }
  await prefer(page, {});
  expect(found).toEqual([]);
  await page.setViewportSize({ width: 1440, height: 900 });
  await addPerson(page, "livia", "viewer");
  await signIn(page, "livia");
  await page.goto(`${url()}/hosts`);
  await expect(page.getByRole("row").filter({ hasText: "Online" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Enrol a machine" })).toHaveCount(0);
  await expect(page.getByRole("checkbox", { name: "Select all" })).toHaveCount(0);
  await page.goto(`${url()}/hosts/${id}`);
  await page.getByRole("button", { name: "Actions" }).click();
  await expect(page.getByRole("menuitem", { name: "Have it do…" })).toHaveCount(0);
});
