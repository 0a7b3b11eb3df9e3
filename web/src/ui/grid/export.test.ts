import { describe, expect, it } from "vitest";
import type { Column } from "./column";
import { collect, toCsv } from "./export";

type Row = { a: string; b: number };

const columns: Column<Row>[] = [
  { id: "a", label: "a", width: 1, cell: () => null, value: (row) => row.a },
  { id: "b", label: "b", width: 1, cell: () => null, value: (row) => row.b },
];

/** `count` pages of two rows each, and how many of them were asked for. */
function pages(count: number) {
  const asked = { pages: 0 };
  async function* all(): AsyncGenerator<Row[]> {
    for (let page = 0; page < count; page += 1) {
      asked.pages += 1;
      yield [
        { a: "x", b: 2 * page },
        { a: "y", b: 2 * page + 1 },
      ];
    }
  }
  return { asked, all: all() };
}

describe("an export", () => {
  it("takes every page and tells how far it is", async () => {
    const told: number[] = [];
    const { parts, rows, cut } = await collect("json", columns, pages(3).all, (n) => told.push(n));
    expect(JSON.parse(parts.join(""))).toHaveLength(6);
    expect({ rows, cut, told }).toEqual({ rows: 6, cut: false, told: [2, 4, 6] });
  });

  it("ends where a file is full, and says so only if there is more", async () => {
    const { asked, all } = pages(9);
    const full = await collect("csv", columns, all, () => {}, undefined, 3);
    expect(full).toMatchObject({ rows: 3, cut: true });
    expect(full.parts.join("")).toBe("a,b\r\nx,0\r\ny,1\r\nx,2\r\n");
    expect(asked.pages).toBe(2);
    expect(await collect("csv", columns, pages(2).all, () => {}, undefined, 4)).toMatchObject({ rows: 4, cut: false });
  });

  it("stops when it is called off", async () => {
    const controller = new AbortController();
    const { asked, all } = pages(9);
    const stopped = collect("csv", columns, all, () => controller.abort(), controller.signal);
    await expect(stopped).rejects.toThrow();
    expect(asked.pages).toBe(2);
  });
});

describe("CSV", () => {
  it("quotes what needs it and defuses formulas", () => {
    expect(toCsv(columns, [{ a: 'x, "y"', b: -1 }])).toBe('"x, ""y""",-1');
    expect(toCsv(columns, [{ a: "=HYPERLINK(1)", b: 2 }])).toBe("'=HYPERLINK(1),2");
  });
});
