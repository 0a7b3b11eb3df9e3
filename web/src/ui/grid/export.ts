import type { Column } from "./column";

/** Rows of one file at most: what is longer is for programs, by the API. */
export const EXPORT_ROWS_MAX = 100_000;

/** Pages of rows, one after the other, to the end. */
export type Pages<T> = AsyncIterable<readonly T[]> | Iterable<readonly T[]>;

function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const plain = typeof value === "object" ? JSON.stringify(value) : String(value);
  // A leading sign would be a formula in a spreadsheet.
  const safe = /^[=+\-@\t\r\n]/.test(plain) && typeof value === "string" ? `'${plain}` : plain;
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

/** What became of an export. */
interface Collected {
  parts: string[];
  rows: number;
  /** There are more rows than one file takes. */
  cut: boolean;
}

/** Collects all pages as the text of a file. Ends with the signal's reason when it is called off. */
export async function collect<T>(
  kind: "csv" | "json",
  all: readonly Column<T>[],
  pages: Pages<T>,
  progress: (rows: number) => void,
  signal?: AbortSignal,
  max = EXPORT_ROWS_MAX,
): Promise<Collected> {
  const columns = all.filter((column) => column.value);
  const parts: string[] = kind === "csv" ? [`${columns.map((column) => csvCell(column.id)).join(",")}\r\n`] : ["["];
  let rows = 0;
  let cut = false;
  for await (const found of pages) {
    signal?.throwIfAborted();
    const page = found.slice(0, max - rows);
    cut = page.length < found.length;
    if (page.length === 0) {
      if (cut) break;
      continue;
    }
    const body = kind === "csv" ? `${toCsv(columns, page)}\r\n` : page.map((row) => JSON.stringify(row)).join(",\n");
    parts.push(kind === "json" && rows > 0 ? `,\n${body}` : body);
    rows += page.length;
    progress(rows);
    if (cut) break;
  }
  if (kind === "json") parts.push("]\n");
  return { parts, rows, cut };
}

/** Collects all pages and hands the file to the browser. */
export async function exportRows<T>(
  name: string,
  kind: "csv" | "json",
  ...what: [readonly Column<T>[], Pages<T>, (rows: number) => void, AbortSignal]
): Promise<Collected> {
  const made = await collect(kind, ...what);
  download(`${name}.${kind}`, made.parts, kind === "csv" ? "text/csv" : "application/json");
  return made;
}
