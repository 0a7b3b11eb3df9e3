import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Answer, answerPages, distinct, type LoadRows, withColumns } from "./answer";
import { nameOf, targetsOf, withScheduled } from "./data";

const row = (host_name: string, columns: string[], values: unknown[]) =>
  ({ host: `id-${host_name}`, host_name, columns, values }) as never;

/** A server with an answer that grows: a page is what came since the cursor, two rows at most. */
class Growing {
  rows: never[] = [];
  ended = false;
  asked = 0;
  readonly load: LoadRows = async (cursor) => {
    this.asked += 1;
    const from = Number(cursor ?? 0);
    const items = this.rows.slice(from, from + 2);
    const next = from + items.length;
    const over = this.ended && next === this.rows.length;
    return { items, next_cursor: over ? null : String(next), ended: this.ended };
  };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

describe("an answer that comes in", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is fetched as far as somebody looks, and goes on when it is told of news", async () => {
    const server = new Growing();
    const answer = new Answer(server.load);
    answer.start();
    await settle();
    // Nothing is there yet: it waits, and does not ask again and again.
    expect(answer.get()).toMatchObject({ ready: true, more: false, complete: false, rows: [] });
    await answer.more();
    expect(server.asked).toBe(1);

    server.rows.push(row("a", ["pid"], [1]), row("a", ["pid"], [2]), row("b", ["pid"], [3]));
    answer.news();
    answer.news();
    await vi.advanceTimersByTimeAsync(300);
    expect(answer.get().rows.map(({ values }) => values.pid)).toEqual([1, 2]);
    expect([server.asked, answer.get().more]).toEqual([2, true]);
    await answer.more();
    expect(answer.get().rows.map(({ n, host_name }) => `${n} ${host_name}`)).toEqual(["0 a", "1 a", "2 b"]);

    server.ended = true;
    await answer.more();
    expect(answer.get()).toMatchObject({ complete: true, more: false, loading: false });
    answer.news();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(server.asked).toBe(4);
  });

  it("does not miss what is told while a page is on its way", async () => {
    const server = new Growing();
    let release: (() => void) | null = null;
    const slow: LoadRows = async (cursor) => {
      const page = await server.load(cursor);
      await new Promise<void>((done) => {
        release = done;
      });
      return page;
    };
    const answer = new Answer(slow);
    answer.start();
    await settle();
    server.rows.push(row("a", ["n"], [1]));
    answer.news();
    await vi.advanceTimersByTimeAsync(300);
    (release as (() => void) | null)?.();
    await settle();
    // The page was empty, but there is more to ask for.
    expect(answer.get()).toMatchObject({ rows: [], more: true });
  });

  it("says what failed, and goes on when something comes", async () => {
    const load = vi
      .fn<LoadRows>()
      .mockRejectedValueOnce(new Error("away"))
      .mockResolvedValue({ items: [row("a", ["n"], [1])], next_cursor: null, ended: true });
    const answer = new Answer(load);
    answer.start();
    await settle();
    expect(answer.get()).toMatchObject({ error: new Error("away"), more: false });
    answer.news();
    await vi.advanceTimersByTimeAsync(300);
    expect(answer.get()).toMatchObject({ error: null, complete: true });
    expect(answer.get().rows).toHaveLength(1);
  });

  it("stops with its page, and goes on where it was", async () => {
    const server = new Growing();
    server.rows.push(row("a", ["n"], [1]), row("a", ["n"], [2]), row("a", ["n"], [3]));
    const answer = new Answer(server.load);
    answer.start();
    await settle();
    answer.news();
    answer.stop();
    await vi.advanceTimersByTimeAsync(1_000);
    await answer.more();
    expect([server.asked, answer.get().rows.length]).toEqual([1, 2]);
    answer.start();
    answer.stop();
    await settle();
    expect([answer.get().rows.length, answer.get().loading]).toEqual([2, false]);
    answer.start();
    await settle();
    expect(answer.get().rows.map(({ values }) => values.n)).toEqual([1, 2, 3]);
  });
});

it("keeps columns apart that have one name, and adds those of other hosts behind", async () => {
  expect(distinct(["pid", "name", "pid", "pid"])).toEqual(["pid", "name", "pid (2)", "pid (3)"]);
  const server = new Growing();
  server.ended = true;
  server.rows.push(row("a", ["n", "n"], [1, "x"]), row("b", ["n", "path"], [2, "/usr/bin/something-long"]));
  const pages = [];
  for await (const page of answerPages(server.load)) pages.push(...page);
  expect(pages.map(({ values }) => values)).toEqual([
    { n: 1, "n (2)": "x" },
    { n: 2, path: "/usr/bin/something-long" },
  ]);
  const columns = withColumns([], pages);
  expect(columns.map(({ id, end }) => [id, end])).toEqual([
    ["n", true],
    ["n (2)", false],
    ["path", false],
  ]);
  expect(columns[2]?.width).toBeGreaterThan(columns[0]?.width ?? 0);
  expect(withColumns(columns, pages)).toBe(columns);
});

it("does not wait in an export for what has not come yet", async () => {
  const server = new Growing();
  server.rows.push(row("a", ["n"], [1]));
  const pages = [];
  for await (const page of answerPages(server.load)) pages.push(page);
  expect([pages.length, server.asked]).toEqual([1, 2]);
});

it("asks the hosts that the address means", () => {
  expect(targetsOf({})).toEqual({ all: true });
  expect(targetsOf({ hosts: "a,b,", tag: "web" })).toEqual({ ids: ["a", "b"] });
  expect(targetsOf({ q: "web", status: "online", version: "1.2" })).toEqual({
    search: "web",
    status: "online",
    agent_version: "1.2",
  });
});

it("puts a statement into a policy and leaves the rest of it alone", () => {
  expect(nameOf("SELECT *\nfrom `Processes` p")).toBe("processes");
  expect(nameOf("SELECT 1")).toBe("query");
  const before = { logs: { journal: false }, queries: { load: { sql: "SELECT 1", every_s: 60 } } };
  const query = { sql: "SELECT 2", every_s: 300, answer: "snapshot" as const };
  expect(withScheduled(before, "users", query)).toEqual({
    logs: { journal: false },
    queries: { load: { sql: "SELECT 1", every_s: 60 }, users: query },
  });
  expect(withScheduled(null, "users", query)).toEqual({ queries: { users: query } });
});
