import { expect, it } from "vitest";
import { liveMeanings, starter, tablesIn } from "./language";

const column = (name: string, about: string, helps = false) => ({ name, kind: "text", about, helps });
const TABLES = [
  { name: "file", about: "Files", needs: true, columns: [column("path", "Where a file is", true)] },
  { name: "processes", about: "What runs", needs: false, columns: [column("path", "Its program", true)] },
];

it("explains the columns of the tables that a statement names", () => {
  const statement = "select path\nfrom PROCESSES";
  expect(tablesIn(statement, TABLES).map(({ name }) => name)).toEqual(["processes"]);
  expect(liveMeanings(statement, TABLES).get("path")).toEqual({ detail: "processes · text", info: "Its program" });
  expect(liveMeanings("SELECT 1", TABLES).get("path")).toBeUndefined();
  expect(liveMeanings("SELECT 1", TABLES).get("file")).toEqual({ info: "Files" });
});

it("begins with a statement that the table can answer", () => {
  expect(TABLES.map(starter)).toEqual(["SELECT *\nFROM file\nWHERE path LIKE '/etc/%'", "SELECT *\nFROM processes"]);
});
