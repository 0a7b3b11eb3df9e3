import { describe, expect, it } from "vitest";
import type { Column } from "./column";
import { chosenRows } from "./local";

interface Row {
  name: string;
  hits: number | null;
}

const rows: Row[] = [
  { name: "Rule 10", hits: 3 },
  { name: "rule 9", hits: null },
  { name: "scanner", hits: 20 },
];
const columns: Column<Row>[] = [
  { id: "name", label: "Name", width: 1, sort: "name", rises: true, cell: (r) => r.name, value: (r) => r.name },
  { id: "hits", label: "Hits", width: 1, sort: "hits", cell: (r) => r.hits, value: (r) => r.hits },
];
const names = (state: { q?: string; sort?: string }) => chosenRows(rows, columns, state).map((row) => row.name);

describe("a list that is loaded whole", () => {
  it("finds text in any column", () => {
    expect(names({ q: "RULE" })).toEqual(["Rule 10", "rule 9"]);
    expect(names({ q: "20" })).toEqual(["scanner"]);
    expect(names({ q: "nothing" })).toEqual([]);
  });

  it("orders by a column, names as people count, numbers by size, and what is missing last", () => {
    expect(names({ sort: "name" })).toEqual(["rule 9", "Rule 10", "scanner"]);
    expect(names({ sort: "-name" })).toEqual(["scanner", "Rule 10", "rule 9"]);
    expect(names({ sort: "hits" })).toEqual(["scanner", "Rule 10", "rule 9"]);
    expect(names({ sort: "-hits" })).toEqual(["Rule 10", "scanner", "rule 9"]);
    expect(names({ sort: "unknown" })).toEqual(["Rule 10", "rule 9", "scanner"]);
  });
});
