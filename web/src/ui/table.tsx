import type { ReactNode } from "react";
import { classes } from "./classes";

export interface Head<T> {
  id: string;
  label: string;
  /** The label is for assistive technology only: a column of controls. */
  quiet?: boolean;
  /** Numbers stand at the end. */
  end?: boolean;
  cell: (row: T) => ReactNode;
}

/** A short table, all of it in the document. It scrolls by itself where it is wider than its place. */
export function Table<T>({
  label,
  heads,
  rows,
  rowId,
  className,
}: {
  label: string;
  heads: readonly Head<T>[];
  rows: readonly T[];
  rowId: (row: T, index: number) => string;
  className?: string;
}) {
  return (
    <section aria-label={label} tabIndex={0} className={classes("relative overflow-auto", className)}>
      <table className="w-full border-collapse text-sm">
        <thead className="sticky top-0 bg-surface">
          <tr className="border-b border-line">
            {heads.map((head) => (
              <th
                key={head.id}
                className={classes(
                  "whitespace-nowrap px-4 py-2 text-xs font-medium text-text-3",
                  head.end ? "text-right" : "text-left",
                )}
              >
                {head.quiet ? <span className="sr-only">{head.label}</span> : head.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={rowId(row, index)} className="border-b border-line last:border-0 hover:bg-hover">
              {heads.map((head) => (
                <td
                  key={head.id}
                  className={classes("whitespace-nowrap px-4 py-1.5", head.end ? "num text-right" : "text-left")}
                >
                  {head.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
