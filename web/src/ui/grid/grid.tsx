import { ArrowDown, ArrowUp } from "lucide-react";
import { memo, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useKeys } from "@/app/keys";
import { usePreferences, useText } from "@/app/preferences";
import { classes } from "../classes";
import { Checkbox } from "../form";
import { text } from "../strings";
import { type Column, isSelected, type Selection, toggled } from "./column";
import { useWindow } from "./window";

/** The next page is asked for when this many rows are left below. */
const AHEAD = 60;
const NARROW_PX = 620;
/** Height of the line with the names of the columns. */
const HEAD_PX = 36;

export interface GridProps<T> {
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
  const [narrow, setNarrow] = useState(() => innerWidth < NARROW_PX);
  const observer = useRef<ResizeObserver | null>(null);
  const watch = useRef((element: HTMLElement | null) => {
    observer.current?.disconnect();
    if (!element || typeof ResizeObserver === "undefined") return;
    // Before anything is painted: rows must not be seen in the wrong form first.
    setNarrow(element.clientWidth < NARROW_PX);
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
  const rising = current && reversed !== Boolean(column.rises);
  const look = classes("flex min-w-0 items-center gap-1 text-xs font-medium", column.end && "justify-end");
  if (!by || !onSort) {
    return (
      <div role="columnheader" className={classes(look, "px-2 text-text-3")}>
        <span className={column.quiet ? "sr-only" : "truncate"}>{column.label}</span>
      </div>
    );
  }
  return (
    <div
      role="columnheader"
      aria-sort={current ? (rising ? "ascending" : "descending") : "none"}
      className="flex min-w-0"
    >
      <button
        type="button"
        onClick={() => onSort(current && !reversed ? `-${by}` : by)}
        className={classes(look, "w-full rounded-s px-2 hover:text-text", current ? "text-text" : "text-text-3")}
      >
        <span className="truncate">{column.label}</span>
        {current &&
          (rising ? (
            <ArrowUp size={12} aria-label={t("sortedUp")} />
          ) : (
            <ArrowDown size={12} aria-label={t("sortedDown")} />
          ))}
      </button>
    </div>
  );
}

/** What a row asks of its grid; it stays the same object, so that rows in sight are not drawn again. */
interface Hold<T> {
  select: (id: string) => void;
  open: ((row: T) => void) | undefined;
  step: (by: number) => void;
  activate: (index: number) => void;
}

interface RowProps<T> {
  row: T;
  id: string;
  index: number;
  height: number;
  columns: readonly Column<T>[];
  tracks: string;
  selects: boolean;
  chosen: boolean;
  isFresh: boolean;
  opens: boolean;
  card: GridProps<T>["card"] | undefined;
  hold: Hold<T>;
}

function DrawnRow<T>({ row, id, index, height, columns, tracks, selects, chosen, hold, card, ...look }: RowProps<T>) {
  const t = useText(text);
  return (
    <div
      role="row"
      data-index={index}
      tabIndex={-1}
      aria-rowindex={index + 2}
      aria-selected={selects ? chosen : undefined}
      onClick={(event) => {
        const target = event.target as Element;
        // What a menu of the row shows lies elsewhere in the document, and its clicks arrive here all the same.
        if (!hold.open || !event.currentTarget.contains(target)) return;
        if (target.closest("a, button, [role=checkbox], input")) return;
        if (getSelection()?.toString()) return;
        hold.open(row);
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && event.target === event.currentTarget) hold.open?.(row);
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
          event.preventDefault();
          hold.step(event.key === "ArrowDown" ? 1 : -1);
        }
      }}
      onFocus={() => hold.activate(index)}
      className={classes(
        "group absolute inset-x-0 top-0 border-b border-line text-sm [contain:strict]",
        card ? "px-4 py-2.5" : "grid items-center px-3",
        chosen ? "bg-accent-soft" : "hover:bg-hover",
        look.opens && "cursor-pointer",
        look.isFresh && "flash",
      )}
      style={{
        height,
        transform: `translateY(${index * height}px)`,
        ...(card ? {} : { gridTemplateColumns: tracks }),
      }}
    >
      {card ? (
        <div role="cell" className="h-full">
          {card(row)}
        </div>
      ) : (
        <>
          {selects && (
            <div role="cell" className="flex items-center px-2">
              <Checkbox label={t("selectRow")} checked={chosen} onChange={() => hold.select(id)} />
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
}

/** Drawn again only when something that it shows changed; how to draw a card is taken to be the same. */
const Row = memo(DrawnRow, (before, after) =>
  (Object.keys(after) as (keyof RowProps<unknown>)[]).every((key) =>
    key === "card" ? !before.card === !after.card : before[key] === after[key],
  ),
) as typeof DrawnRow;

/** A table of any length: only the rows in sight are in the document. */
export function Grid<T>(props: GridProps<T>) {
  const { label, columns, rows, rowId, total, onMore, selection, onSelect, onOpen, card, empty, fresh } = props;
  const t = useText(text);
  const { density } = usePreferences().preferences;
  const box = useRef<HTMLDivElement | null>(null);
  const [watch, narrow] = useNarrow();
  const [active, setActive] = useState(-1);
  const cards = narrow && card !== undefined;
  const height = cards ? (props.cardHeight ?? 92) : density === "compact" ? 32 : 40;
  const attach = useCallback(
    (element: HTMLDivElement | null) => {
      box.current = element;
      watch(element);
    },
    [watch],
  );
  const { first, end } = useWindow(box, height, rows.length);
  useEffect(() => {
    if (onMore && !props.loadingMore && end >= rows.length - AHEAD) onMore();
  }, [end, rows.length, onMore, props.loadingMore]);

  const go = (step: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, active + step));
    setActive(next);
    const element = box.current;
    if (!element) return;
    const top = next * height;
    const below = top + height + HEAD_PX - element.clientHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (below > element.scrollTop) element.scrollTop = below;
    // The row is drawn by the scrolling.
    requestAnimationFrame(() =>
      requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus()),
    );
  };
  const select = (id: string) => {
    if (selection && onSelect) onSelect(toggled(selection, id, selection.all ? rows.map(rowId) : []));
  };
  const current = rows[active];
  useKeys(
    {
      j: () => go(1),
      k: () => go(-1),
      ...(onSelect && current ? { x: () => select(rowId(current)) } : {}),
    },
    props.keys ?? true,
  );
  const latest = useRef({ select, onOpen, go });
  useEffect(() => {
    latest.current = { select, onOpen, go };
  });
  const opens = onOpen !== undefined;
  const hold = useMemo<Hold<T>>(
    () => ({
      select: (id) => latest.current.select(id),
      open: opens ? (row) => latest.current.onOpen?.(row) : undefined,
      step: (by) => latest.current.go(by),
      activate: setActive,
    }),
    [opens],
  );

  const selects = Boolean(selection && onSelect);
  const tracks = useMemo(() => template(columns, selects && !cards), [columns, selects, cards]);
  const minimum = columns.reduce((sum, column) => sum + column.width, selects ? 36 : 0) + 24;
  const focusable = rows.length > 0 && (selects || props.onSort !== undefined);
  const some = selection && !selection.all && selection.ids.size > 0;
  return (
    // Where nothing in it takes the focus, the keyboard could not scroll it.
    <div ref={attach} tabIndex={focusable ? undefined : 0} className="min-h-0 min-w-0 flex-1 overflow-auto">
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
                  onChange={(on) => onSelect({ all: false, ids: new Set(on ? rows.map(rowId) : []) })}
                />
              </div>
            )}
            {columns.map((column) => (
              <Heading key={column.id} column={column} sort={props.sort} onSort={props.onSort} />
            ))}
          </div>
        </div>
        <div role="rowgroup" className="relative" style={{ height: rows.length * height }}>
          {rows.slice(first, end).map((row, at) => {
            const id = rowId(row);
            return (
              <Row
                key={id}
                row={row}
                id={id}
                index={first + at}
                height={height}
                columns={columns}
                tracks={tracks}
                selects={selects}
                chosen={selection ? isSelected(selection, id) : false}
                isFresh={fresh?.has(id) ?? false}
                opens={opens}
                card={cards ? card : undefined}
                hold={hold}
              />
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
