import { PostgreSQL, sql } from "@codemirror/lang-sql";
import type { Extension } from "@codemirror/state";
import type { TableView } from "./filter-language";

/** SQL with the tables and columns that the server knows. */
export function sqlLanguage(tables: readonly TableView[]): Extension {
  const schema = Object.fromEntries(
    tables.map((table) => [
      table.name,
      table.columns.map((column) => ({ label: column.name, type: "property", detail: column.type, info: column.doc })),
    ]),
  );
  return sql({ dialect: PostgreSQL, schema, upperCaseKeywords: true });
}
