import { describe, expect, it } from "vitest";
import type { Column } from "./column";
import { toCsv } from "./export";

const columns: Column<{ a: string; b: number }>[] = [
  { id: "a", label: "a", width: 1, cell: () => null, value: (row) => row.a },
  { id: "b", label: "b", width: 1, cell: () => null, value: (row) => row.b },
];

describe("CSV", () => {
  it("quotes what needs it and defuses formulas", () => {
    expect(toCsv(columns, [{ a: 'x, "y"', b: -1 }])).toBe('"x, ""y""",-1');
    expect(toCsv(columns, [{ a: "=HYPERLINK(1)", b: 2 }])).toBe("'=HYPERLINK(1),2");
  });
});
