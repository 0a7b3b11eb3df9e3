import { PostgreSQL, sql } from "@codemirror/lang-sql";
import type { Extension } from "@codemirror/state";
import type { TableView } from "./filter-language";
import { type AskValues, sqlLiteral, sqlValue, valueCompletion } from "./values";

/** SQL with the tables and columns that the server knows, and the values that flows have. */
export function sqlLanguage(tables: readonly TableView[], ask: AskValues): Extension {
  const schema = Object.fromEntries(
    tables.map((table) => [
      table.name,
      table.columns.map((column) => ({ label: column.name, type: "property", detail: column.type, info: column.doc })),
    ]),
  );
  return [
    sql({ dialect: PostgreSQL, schema, upperCaseKeywords: true }),
    PostgreSQL.language.data.of({ autocomplete: valueCompletion(sqlValue, sqlLiteral, ask) }),
  ];
}
