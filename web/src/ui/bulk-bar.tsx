import { X } from "lucide-react";
import type { ReactNode } from "react";
import { useText } from "@/app/preferences";
import { Button, IconButton } from "./button";
import { NOTHING, type Selection } from "./grid/column";
import { text } from "./strings";

/** What can be done with a selection: stands over the list while something is selected. */
export function BulkBar({
  selection,
  onSelect,
  loaded,
  total,
  busy,
  changed,
  children,
}: {
  selection: Selection;
  onSelect: (selection: Selection) => void;
  /** Rows that are loaded, of how many. */
  loaded: number;
  total: number;
  busy: boolean;
  /** Things changed so far. */
  changed: number;
  children: ReactNode;
}) {
  const t = useText(text);
  const count = selection.all ? total : selection.ids.size;
  if (count === 0) return null;
  const offerAll = !selection.all && selection.ids.size === loaded && total > loaded;
  return (
    <div className="pop mx-3 mb-3 flex flex-wrap items-center gap-2 rounded-box border border-accent/40 bg-accent-soft px-3 py-2 text-sm md:mx-6">
      <span role="status" className="num font-medium">
        {busy && changed > 0
          ? t("progress", { n: changed })
          : t(selection.all ? "allSelected" : "selected", { n: count })}
      </span>
      {busy && changed > 0 && <progress max={count} value={changed} aria-label={t("progress", { n: changed })} />}
      {offerAll && (
        <Button look="quiet" className="!text-accent" onClick={() => onSelect({ all: true })}>
          {t("selectAllMatching", { n: total })}
        </Button>
      )}
      <span className="ml-auto flex flex-wrap gap-2">
        {children}
        <IconButton label={t("clearSelection")} icon={X} onClick={() => onSelect(NOTHING)} />
      </span>
    </div>
  );
}
