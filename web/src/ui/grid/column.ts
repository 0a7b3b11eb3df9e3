import type { ReactNode } from "react";

/** One column of a grid: how it is drawn, and what it is in an export. */
export interface Column<T> {
  id: string;
  label: string;
  /** The label is for assistive technology only: a column of controls. */
  quiet?: boolean;
  /** Pixels at least. */
  width: number;
  /** Share of the space that is left; 0 keeps the width. */
  grow?: number;
  end?: boolean;
  cell: (row: T) => ReactNode;
  /** The plain value for exports; columns without one are not exported. */
  value?: (row: T) => unknown;
  /** Name of the order by this column, where there is one. */
  sort?: string;
  /** That order begins with the smallest; others begin with the largest. */
  rises?: boolean;
  /** Not shown until chosen. */
  hidden?: boolean;
  /** Always shown. */
  fixed?: boolean;
}

/** What is selected: single rows, or everything that the filter finds. */
export type Selection = { all: false; ids: ReadonlySet<string> } | { all: true };

export const NOTHING: Selection = { all: false, ids: new Set() };

export function isSelected(selection: Selection, id: string): boolean {
  return selection.all || selection.ids.has(id);
}

export function toggled(selection: Selection, id: string, rows: readonly string[]): Selection {
  const ids = new Set(selection.all ? rows : selection.ids);
  if (ids.has(id)) ids.delete(id);
  else ids.add(id);
  return { all: false, ids };
}

/** The ids of columns that a person chose for a grid, from what is kept, or null. */
export function readColumns(stored: unknown): string[] | null {
  return Array.isArray(stored) ? stored.filter((id) => typeof id === "string") : null;
}
