import type { ListState } from "@/app/search";
import type { Column } from "./column";

const NATURAL = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function compare(a: unknown, b: unknown): number {
  return typeof a === "number" && typeof b === "number" ? a - b : NATURAL.compare(String(a), String(b));
}

const missing = (value: unknown) => value === null || value === undefined || value === "";

/**
 * The rows of a list that is loaded whole: those with the text in a column, in the order of a column. What has no value
 * there stands last either way.
 */
export function chosenRows<T>(all: readonly T[], columns: readonly Column<T>[], { q, sort }: ListState): readonly T[] {
  const wanted = q?.toLowerCase() ?? "";
  const values = columns.flatMap((column) => (column.value ? [column.value] : []));
  const text = (row: T) => values.map((value) => value(row) ?? "").join("\n");
  const found = wanted ? all.filter((row) => text(row).toLowerCase().includes(wanted)) : [...all];
  const by = columns.find((column) => column.sort === sort?.replace(/^-/, ""));
  const of = by?.value;
  if (!sort || !of) return found;
  const turn = sort.startsWith("-") === Boolean(by.rises) ? -1 : 1;
  return found.sort((a, b) => {
    const [left, right] = [of(a), of(b)];
    return Number(missing(left)) - Number(missing(right)) || compare(left, right) * turn;
  });
}
