import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useKeys } from "@/app/keys";
import { usePreferences, useText } from "@/app/preferences";
import { classes } from "../classes";
import { Checkbox } from "../form";
import { text } from "../strings";
import { type Column, isSelected, type Selection, toggled } from "./column";

/** Rows drawn beyond the visible ones, so that fast scrolling shows no gaps. */
const OVERSCAN = 12;
/** The next page is asked for when this many rows are left below. */
const AHEAD = 60;
const NARROW_PX = 620;

interface GridProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowId: (row: T) => string;
  /** How many there are in all, where known. */
  total?: number | undefined;
  onMore?: (() => void) | undefined;
  loadingMore?: boolean;
  /** Name of the order; a leading `-` turns it round. */
  sort?: string | undefined;
  onSort?: (sort: string) => void;
  selection?: Selection;
  onSelect?: (selection: Selection) => void;
  onOpen?: (row: T) => void;
  /** How a row looks where there is no room for columns. */
  card?: (row: T) => ReactNode;
  cardHeight?: number;
  /** Shown instead of rows. */
  empty?: ReactNode;
  /** Rows that just came or changed. */
  fresh?: ReadonlySet<string>;
  /** Whether j, k and x belong to this grid. */
  keys?: boolean;
}

function useNarrow(): [(element: HTMLElement | null) => void, boolean] {
  const [narrow, setNarrow] = useState(false);
  const observer = useRef<ResizeObserver | null>(null);
  const watch = useRef((element: HTMLElement | null) => {
    observer.current?.disconnect();
    if (!element || typeof ResizeObserver === "undefined") return;
    observer.current = new ResizeObserver(([entry]) => setNarrow((entry?.contentRect.width ?? NARROW_PX) < NARROW_PX));
    observer.current.observe(element);
  });
  return [watch.current, narrow];
}

function template<T>(columns: readonly Column<T>[], selects: boolean): string {
  const tracks = columns.map((column) =>
    column.grow === 0 ? `${column.width}px` : `minmax(${column.width}px, ${column.grow ?? 1}fr)`,
  );
  return [...(selects ? ["36px"] : []), ...tracks].join(" ");
}

function Heading<T>({
  column,
  sort,
  onSort,
}: {
  column: Column<T>;
  sort: string | undefined;
  onSort: GridProps<T>["onSort"];
}) {
  const t = useText(text);
  const by = column.sort;
  const current = by !== undefined && sort?.replace(/^-/, "") === by;
  const reversed = current && sort?.startsWith("-");
  const look = classes("flex min-w-0 items-center gap-1 text-xs font-medium", column.end && "justify-end");
  if (!by || !onSort) {
    return (
      <div role="columnheader" className={classes(look, "px-2 text-text-3")}>
        <span className="truncate">{column.label}</span>
      </div>
    );
  }
  return (
    <div
      role="columnheader"
      aria-sort={current ? (reversed ? "ascending" : "descending") : "none"}
      className="flex min-w-0"
    >
      <button
        type="button"
        onClick={() => onSort(current && !reversed ? `-${by}` : by)}
        className={classes(look, "w-full rounded-s px-2 hover:text-text", current ? "text-text" : "text-text-3")}
      >
        <span className="truncate">{column.label}</span>
        {current &&
          (reversed ? (
            <ArrowUp size={12} aria-label={t("sortedUp")} />
          ) : (
            <ArrowDown size={12} aria-label={t("sortedDown")} />
          ))}
      </button>
    </div>
  );
}

/** A table of any length: only the rows in sight are in the document. */
export function Grid<T>(props: GridProps<T>) {
  const { label, columns, rows, rowId, total, onMore, selection, onSelect, onOpen, card, empty, fresh } = props;
  const t = useText(text);
  const { density } = usePreferences().preferences;
  const box = useRef<HTMLDivElement>(null);
  const [watch, narrow] = useNarrow();
  const [active, setActive] = useState(-1);
  const cards = narrow && card !== undefined;
  const height = cards ? (props.cardHeight ?? 92) : density === "compact" ? 32 : 40;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => height,
    overscan: OVERSCAN,
    getItemKey: (index) => {
      const row = rows[index];
      return row === undefined ? index : rowId(row);
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another height makes every measure stale
  useEffect(() => virtual.measure(), [height]);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (onMore && !props.loadingMore && last >= rows.length - AHEAD) onMore();
  }, [last, rows.length, onMore, props.loadingMore]);

  const ids = rows.map(rowId);
  const go = (step: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, active + step));
    setActive(next);
    virtual.scrollToIndex(next);
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus());
  };
  const current = rows[active];
  useKeys(
    {
      j: () => go(1),
      k: () => go(-1),
      ...(onSelect && selection && current ? { x: () => onSelect(toggled(selection, rowId(current), ids)) } : {}),
    },
    props.keys ?? true,
  );

  const selects = Boolean(selection && onSelect);
  const tracks = template(columns, selects && !cards);
  const minimum = columns.reduce((sum, column) => sum + column.width, selects ? 36 : 0) + 24;
  const some = selection && !selection.all && selection.ids.size > 0;
  return (
    <div
      ref={(element) => {
        box.current = element;
        watch(element);
      }}
      className="min-h-0 min-w-0 flex-1 overflow-auto"
    >
      <div
        role="table"
        aria-label={label}
        aria-rowcount={(total ?? rows.length) + 1}
        style={cards ? undefined : { minWidth: minimum }}
      >
        <div role="rowgroup" className={cards ? "sr-only" : "sticky top-0 z-10 bg-surface"}>
          <div
            role="row"
            aria-rowindex={1}
            className="grid h-9 items-center border-b border-line px-3"
            style={{ gridTemplateColumns: tracks }}
          >
            {selects && !cards && selection && onSelect && (
              <div role="columnheader" className="flex items-center px-2">
                <Checkbox
                  label={t("selectAll")}
                  checked={selection.all || (rows.length > 0 && selection.ids.size === rows.length)}
                  partly={Boolean(some && selection.ids.size < rows.length)}
                  onChange={(on) => onSelect({ all: false, ids: new Set(on ? ids : []) })}
                />
              </div>
            )}
            {columns.map((column) => (
              <Heading key={column.id} column={column} sort={props.sort} onSort={props.onSort} />
            ))}
          </div>
        </div>
        <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const row = rows[item.index];
            if (row === undefined) return null;
            const id = rowId(row);
            const chosen = selection ? isSelected(selection, id) : false;
            return (
              <div
                key={item.key}
                role="row"
                data-index={item.index}
                tabIndex={-1}
                aria-rowindex={item.index + 2}
                aria-selected={selects ? chosen : undefined}
                onClick={(event) => {
                  if (!onOpen || (event.target as Element).closest("a, button, [role=checkbox], input")) return;
                  if (getSelection()?.toString()) return;
                  onOpen(row);
                }}
                onKeyDown={(event) => {
                  if (event.key === "Enter" && event.target === event.currentTarget) onOpen?.(row);
                  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
                    event.preventDefault();
                    go(event.key === "ArrowDown" ? 1 : -1);
                  }
                }}
                onFocus={() => setActive(item.index)}
                className={classes(
                  "group absolute inset-x-0 top-0 border-b border-line text-sm",
                  cards ? "px-4 py-2.5" : "grid items-center px-3",
                  chosen ? "bg-accent-soft" : "hover:bg-hover",
                  onOpen && "cursor-pointer",
                  fresh?.has(id) && "flash",
                )}
                style={{
                  height: item.size,
                  transform: `translateY(${item.start}px)`,
                  ...(cards ? {} : { gridTemplateColumns: tracks }),
                }}
              >
                {cards ? (
                  <div role="cell" className="h-full">
                    {card(row)}
                  </div>
                ) : (
                  <>
                    {selects && selection && onSelect && (
                      <div role="cell" className="flex items-center px-2">
                        <Checkbox
                          label={t("selectRow")}
                          checked={chosen}
                          onChange={() => onSelect(toggled(selection, id, ids))}
                        />
                      </div>
                    )}
                    {columns.map((column) => (
                      <div
                        role="cell"
                        key={column.id}
                        className={classes("min-w-0 truncate px-2", column.end && "num text-right")}
                      >
                        {column.cell(row)}
                      </div>
                    ))}
                  </>
                )}
              </div>
            );
          })}
        </div>
      </div>
      {rows.length === 0 && empty}
      {props.loadingMore && rows.length > 0 && (
        <div className="p-3 text-center text-xs text-text-3">{t("loadingMore")}</div>
      )}
    </div>
  );
}
