import type { Column } from "./column";

/** Pages of rows, one after the other, to the end. */
export type Pages<T> = AsyncIterable<readonly T[]>;

function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const plain = typeof value === "object" ? JSON.stringify(value) : String(value);
  // A leading sign would be a formula in a spreadsheet.
  const safe = /^[=+\-@\t\r]/.test(plain) && typeof value === "string" ? `'${plain}` : plain;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  return rows.map((row) => columns.map((column) => csvCell(column.value?.(row))).join(",")).join("\r\n");
}

export function download(name: string, parts: BlobPart[], type: string): void {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Collects all pages and hands the file to the browser. Answers how many rows it has. */
export async function exportRows<T>(
  name: string,
  kind: "csv" | "json",
  all: readonly Column<T>[],
  pages: Pages<T>,
  progress: (rows: number) => void,
): Promise<number> {
  const columns = all.filter((column) => column.value);
  const parts: string[] = kind === "csv" ? [`${columns.map((column) => csvCell(column.id)).join(",")}\r\n`] : ["["];
  let rows = 0;
  for await (const page of pages) {
    if (page.length === 0) continue;
    const body = kind === "csv" ? `${toCsv(columns, page)}\r\n` : page.map((row) => JSON.stringify(row)).join(",\n");
    parts.push(kind === "json" && rows > 0 ? `,\n${body}` : body);
    rows += page.length;
    progress(rows);
  }
  if (kind === "json") parts.push("]\n");
  download(`${name}.${kind}`, parts, kind === "csv" ? "text/csv" : "application/json");
  return rows;
}
