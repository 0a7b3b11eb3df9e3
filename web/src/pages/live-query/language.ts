import { SQLite, sql } from "@codemirror/lang-sql";
import type { Extension } from "@codemirror/state";
import type { Meaning } from "@/ui/editor/explain";
import type { LiveTable } from "./data";

/** SQL with the tables that hosts have and their columns. */
export function liveSql(tables: readonly LiveTable[]): Extension {
  const schema = Object.fromEntries(
    tables.map((table) => [
      table.name,
      {
        self: { label: table.name, type: "type", info: table.about },
        children: table.columns.map(({ name, kind, about }) => ({
          label: name,
          type: "property",
          detail: kind,
          info: about,
        })),
      },
    ]),
  );
  return sql({ dialect: SQLite, schema, upperCaseKeywords: true });
}

/** The tables that a statement names. */
export function tablesIn(statement: string, tables: readonly LiveTable[]): LiveTable[] {
  const words = new Set(statement.toLowerCase().match(/[a-z_]\w*/g) ?? []);
  return tables.filter(({ name }) => words.has(name));
}

/** What the words of a statement mean: tables, and the columns of those that it names. */
export function liveMeanings(statement: string, tables: readonly LiveTable[]): Map<string, Meaning> {
  const meanings = new Map<string, Meaning>(tables.map((table) => [table.name, { info: table.about }]));
  for (const table of tablesIn(statement, tables)) {
    for (const { name, kind, about } of table.columns) {
      if (!meanings.has(name)) meanings.set(name, { detail: `${table.name} · ${kind}`, info: about });
    }
  }
  return meanings;
}

/** A statement to begin with; tables that want to be told where to look are. */
export function starter(table: LiveTable): string {
  const helping = table.needs ? table.columns.find((column) => column.helps)?.name : undefined;
  return `SELECT *\nFROM ${table.name}${helping ? `\nWHERE ${helping} LIKE '/etc/%'` : ""}`;
}
