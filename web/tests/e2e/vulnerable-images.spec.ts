import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page, test } from "@playwright/test";
import { prefer, signIn, url } from "./people";
import { guardian } from "./server";

const violations = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations;
const NAME = "registry.example/team/shop:4.2";

/** An advisory on a package of npm: no distribution is judged by it, whatever this machine is. */
function advisory(id: string, name: string, fixed: string, score: string) {
  return {
    schema_version: "1.6.0",
    id,
    modified: "2026-01-01T00:00:00Z",
    summary: `${name} is wrong, says ${id}`,
    severity: [{ type: "CVSS_V3", score }],
    affected: [
      { package: { ecosystem: "npm", name }, ranges: [{ type: "SEMVER", events: [{ introduced: "0" }, { fixed }] }] },
    ],
  };
}

/** A bill of materials as `guardian sbom` writes one of an image: the base brought one package, the image another. */
function bill(digest: string, packages: readonly (readonly [name: string, layer: number])[]) {
  const layers = ["sha256:aa ADD rootfs.tar / # buildkit", "sha256:bb COPY package-lock.json /srv/"];
  const property = (name: string, value: string) => ({ name, value });
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    metadata: {
      component: {
        type: "container",
        name: NAME,
        version: `sha256:${digest.repeat(64)}`,
        properties: [
          property("guardian:image:architecture", "amd64"),
          property("guardian:image:base-layers", "1"),
          ...layers.map((layer) => property("guardian:image:layer", layer)),
        ],
      },
    },
    components: packages.map(([name, layer]) => ({
      type: "library",
      name,
      version: "1.0.0",
      purl: `pkg:npm/${name}@1.0.0`,
      properties: [property("guardian:place", `/srv/${name}/package.json`), property("guardian:layer", String(layer))],
    })),
  };
}

test.describe.configure({ mode: "serial" });

test("an image is listed, and its page says which layer brought what", async ({ page }) => {
  await signIn(page);
  await prefer(page, { language: "en" });
  await page.goto(`${url()}/images`);
  await expect(page.getByText("No image is kept here yet")).toBeVisible();
  expect(await violations(page)).toEqual([]);

  const folder = mkdtempSync(join(tmpdir(), "guardian-images-"));
  const bad = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
  const mild = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N";
  const documents = join(folder, "documents");
  mkdirSync(documents);
  const all = [
    advisory("CVE-2026-2001", "guardian-base", "2.0.0", bad),
    advisory("CVE-2026-2002", "guardian-own", "3.0.0", mild),
  ];
  for (const document of all) writeFileSync(join(documents, `${document.id}.json`), JSON.stringify(document));
  guardian("vulndb", "build", documents);
  const file = join(folder, "app.cdx.json");
  writeFileSync(file, JSON.stringify(bill("1", [["guardian-base", 0]])));
  guardian("images", "send", file);
  writeFileSync(
    file,
    JSON.stringify(
      bill("2", [
        ["guardian-base", 0],
        ["guardian-own", 1],
      ]),
    ),
  );
  guardian("images", "send", file, "--criticality", "high");
  rmSync(folder, { recursive: true });

  const row = page.getByRole("row").filter({ hasText: NAME });
  await expect(async () => {
    await page.goto(`${url()}/images`);
    const bar = row.getByRole("img", { name: `Open findings of ${NAME}: Critical 1, Low 1` });
    await expect(bar).toBeVisible({ timeout: 5_000 });
  }).toPass();
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: test.info().outputPath("images.png") });
  await page.getByRole("button", { name: "Medium", exact: true }).click();
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();
  await page.getByRole("button", { name: "Clear filters" }).click();

  await page.getByRole("link", { name: NAME }).click();
  await expect(page.getByRole("heading", { level: 1, name: NAME })).toBeVisible();
  const base = page.getByRole("row").filter({ hasText: "CVE-2026-2001" });
  await expect(base).toContainText("ADD rootfs.tar");
  await expect(base).toContainText("Of its base");
  await expect(page.getByRole("row").filter({ hasText: "CVE-2026-2002" })).toContainText("Its own");
  await expect(page.getByText("1 layer, by what its history says")).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: test.info().outputPath("image.png"), fullPage: true });
  await page.getByRole("button", { name: "Its own", exact: true }).click();
  await expect(base).toHaveCount(0);

  await page.getByRole("tab", { name: "What to fix first" }).click();
  await expect(page.getByRole("row").filter({ hasText: "guardian-base" }).filter({ hasText: "2.0.0" })).toBeVisible();
  await page.getByRole("tab", { name: "Layers" }).click();
  await expect(page.getByRole("row").filter({ hasText: "COPY package-lock.json" })).toBeVisible();
  await page.getByRole("tab", { name: "Digests" }).click();
  await expect(page.getByRole("row").filter({ hasText: `sha256:${"1".repeat(64)}` })).toBeVisible();
  expect(await violations(page)).toEqual([]);
});

test("an image is named by the page of a vulnerability, in both languages, and forgotten", async ({ page }) => {
  await signIn(page);
  await page.goto(`${url()}/vulnerabilities/CVE-2026-2001`);
  const images = page.getByRole("region", { name: "Images that have it" });
  await expect(images.getByRole("link", { name: NAME })).toBeVisible();
  expect(await violations(page)).toEqual([]);
  await prefer(page, { language: "de" });
  await page.goto(`${url()}/images`);
  await expect(page.getByRole("heading", { level: 1, name: "Container-Images" })).toBeVisible();
  await prefer(page, { language: "en" });
  await page.goto(`${url()}/images`);
  await page.getByRole("link", { name: NAME }).click();
  await page.getByRole("button", { name: "Forget…" }).click();
  await page
    .getByRole("dialog", { name: `Forget ${NAME}?` })
    .getByRole("button", { name: "Forget it" })
    .click();
  await expect(page.getByText("No image is kept here yet")).toBeVisible();
});
