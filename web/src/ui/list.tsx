import { ArrowUpToLine } from "lucide-react";
import { type ReactNode, useRef } from "react";
import type { Rows } from "@/api/list";
import { useKeys } from "@/app/keys";
import { useText } from "@/app/preferences";
import { useSlowText } from "@/app/slow-text";
import { Button } from "./button";
import { SearchBox } from "./form";
import { Grid, type GridProps } from "./grid/grid";
import { PageHeader } from "./panel";
import { Failure, Loading } from "./state";
import { text } from "./strings";

/** The frame of every page that is a list: its name and tools, its filters, what stands over it, and the rows. */
export function ListFrame({
  title,
  detail,
  tools,
  filters,
  above,
  bare,
  children,
}: {
  title: string;
  detail?: ReactNode;
  tools?: ReactNode;
  filters?: ReactNode;
  above?: ReactNode;
  /** The content brings its own surfaces. */
  bare?: boolean;
  children: ReactNode;
}) {
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={title} detail={detail ?? "\u00a0"}>
        {tools}
      </PageHeader>
      {filters && <div className="filter-row px-4 pb-3 md:px-6">{filters}</div>}
      {above}
      {bare ? (
        children
      ) : (
        <div className="panel mx-3 mb-3 flex min-h-0 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">{children}</div>
      )}
    </div>
  );
}

/** The search of a list: it tells what is looked for a moment after the last key, and the key "/" leads to it. */
export function ListSearch({
  label,
  value,
  onSearch,
}: {
  label: string;
  value: string | undefined;
  onSearch: (text: string | undefined) => void;
}) {
  const box = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useSlowText(value ?? "", (next) => onSearch(next || undefined));
  useKeys({ "/": () => box.current?.focus() });
  return (
    <SearchBox
      ref={box}
      label={label}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
      className="w-full sm:w-72"
    />
  );
}

/** The rows of a list in its three states, and a word when there is news above them. */
export function ListGrid<T>({
  list,
  ...grid
}: { list: Rows<T> } & Omit<GridProps<T>, "rows" | "onMore" | "loadingMore">) {
  const t = useText(text);
  if (list.error && !list.ready) return <Failure error={list.error} onRetry={list.refetch} />;
  if (!list.ready) return <Loading rows={12} />;
  return (
    <>
      {list.behind && (
        <div role="status" className="flex items-center justify-center border-b border-line bg-accent-soft py-1">
          <Button look="quiet" icon={ArrowUpToLine} className="!h-7 !text-accent" onClick={list.restart}>
            {t("behind")}
          </Button>
        </div>
      )}
      <Grid {...grid} rows={list.rows} onMore={list.more} loadingMore={list.loadingMore} />
    </>
  );
}
