import { expect, test } from "@playwright/test";
import { call, signIn, url } from "./people";
import { guardian, ROOT } from "./server";

const ROWS = 100_000;
const PAGE = 500;
/** Pixels each frame, and for how many frames: a turn of the wheel, and the bar pulled from top to bottom. */
const PASSES = { wheel: { step: 400, most: 240 }, bar: { step: 20_000, most: 400 } };

interface Alert {
  id: string;
  title: string;
  seq: number;
}

interface Scrolled {
  /** Milliseconds between frames. */
  frames: number[];
  /** Milliseconds of each task that kept the page from answering for 50 ms or more. */
  long: number[];
  /** Rows in the document at most. */
  rows: number;
}

/** In the page: how long each frame took while the list was scrolled, and how many rows were drawn at most. */
function scrollThrough({ step, most }: { step: number; most: number }): Promise<Scrolled> {
  const box = document.querySelector('[role="table"]')?.parentElement;
  if (!box) throw new Error("there is a table");
  return new Promise((done) => {
    const frames: number[] = [];
    const long: number[] = [];
    const watch = new PerformanceObserver((list) => long.push(...list.getEntries().map((task) => task.duration)));
    watch.observe({ type: "longtask" });
    let rows = 0;
    let last = performance.now();
    box.scrollTop = 0;
    const frame = (now: number) => {
      frames.push(now - last);
      last = now;
      rows = Math.max(rows, box.querySelectorAll('[role="row"]').length);
      const end = box.scrollTop + box.clientHeight >= box.scrollHeight - 2;
      if (end || frames.length > most) return setTimeout(() => done({ frames: frames.slice(1), long, rows }), 200);
      box.scrollTop += step;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
}

/** In the page: answers the list of alerts with so many like one, in the API's pages, without the wire. */
function pretend({ like, rows, size }: { like: Alert; rows: number; size: number }): void {
  const real = window.fetch.bind(window);
  const json = (value: unknown) =>
    new Response(JSON.stringify(value), { headers: { "content-type": "application/json" } });
  window.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input), location.href);
    if (url.pathname.endsWith("/alerts/counts")) return json({ total: rows, by_severity: {}, by_status: {} });
    if (!url.pathname.endsWith("/api/v1/alerts")) return real(input, init);
    const from = Number(url.searchParams.get("cursor") ?? "0");
    const items = Array.from({ length: size }, (_, i) => ({
      ...like,
      id: `row-${from + i}`,
      title: `Alert ${from + i}`,
    }));
    return json({ items, next_cursor: from + size < rows ? String(from + size) : null });
  };
}

// A trace takes a picture of every frame, which is what would be measured then.
test.use({ trace: "off" });

test("a hundred thousand alerts scroll, and only those in sight are drawn", async ({ page }) => {
  test.setTimeout(300_000);
  await signIn(page);
  guardian("replay", "--speed", "max", `${ROOT}/captures/scan-vertical.netflow9.pcap`);
  let like: Alert | undefined;
  await expect
    .poll(async () => {
      like = (await call<{ items: Alert[] }>(page.request, "GET", "/alerts?limit=1")).items[0];
      return like;
    })
    .toBeTruthy();
  if (!like) throw new Error("there is an alert");
  // A hundred thousand real ones would take the detectors hours; these have the shape and the size of one.
  await page.addInitScript(pretend, { like, rows: ROWS, size: PAGE });
  await page.goto(`${url()}/alerts?status=all`);
  const table = page.getByRole("table", { name: "Alerts", exact: true });
  await expect(table).toHaveAttribute("aria-rowcount", String(ROWS + 1));

  // Down to the end, as fast as pages come.
  const bottom = () => {
    const box = document.querySelector('[role="table"]')?.parentElement;
    if (box) box.scrollTop = box.scrollHeight;
    return [...document.querySelectorAll('[role="row"]')].at(-1)?.getAttribute("aria-rowindex");
  };
  await expect.poll(() => page.evaluate(bottom), { timeout: 240_000, intervals: [20] }).toBe(String(ROWS + 1));
  await expect(page.getByRole("link", { name: `Alert ${ROWS - 1}`, exact: true })).toBeVisible();

  for (const [name, pass] of Object.entries(PASSES)) {
    const { frames, long, rows } = await page.evaluate(scrollThrough, pass);
    frames.sort((a, b) => a - b);
    const at = (share: number) => (frames[Math.floor(frames.length * share)] ?? 0).toFixed(1);
    process.stdout.write(
      `${ROWS} rows, ${name}: ${frames.length} frames, median ${at(0.5)} ms, 95 % ${at(0.95)} ms, worst ${at(0.9999)} ms; ` +
        `${frames.filter((ms) => ms > 50).length} frames over 50 ms; ${long.length} long tasks, ` +
        `longest ${Math.max(0, ...long).toFixed(0)} ms; at most ${rows} rows drawn\n`,
    );
    expect(rows).toBeLessThan(120);
  }
});
