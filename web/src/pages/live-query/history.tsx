import { DatabaseZap } from "lucide-react";
import { useMemo } from "react";
import { useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { Progress } from "@/pages/commands/parts";
import type { Column } from "@/ui/grid/column";
import { ListGrid } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Ago } from "@/ui/time";
import { type LiveQuery, liveQueriesQuery } from "./data";
import { text } from "./strings";

/** What was asked, newest first. */
export function History({ onOpen }: { onOpen: (query: LiveQuery) => void }) {
  const t = useText(text);
  const list = useRows(liveQueriesQuery);
  const columns = useMemo<readonly Column<LiveQuery>[]>(
    () => [
      {
        id: "sql",
        label: t("statement"),
        width: 260,
        grow: 4,
        fixed: true,
        cell: (query) => <code className="mono text-xs">{query.sql.replaceAll(/\s+/g, " ")}</code>,
      },
      {
        id: "progress",
        label: t("progress"),
        width: 160,
        cell: (query) => <Progress command={query} />,
      },
      { id: "hosts", label: t("hosts"), width: 76, grow: 0, end: true, cell: (query) => query.hosts },
      { id: "rows", label: t("rows"), width: 90, grow: 0, end: true, cell: (query) => query.rows },
      {
        id: "reason",
        label: t("reason"),
        width: 140,
        grow: 1,
        cell: (query) => <span className="text-text-2">{query.reason || "–"}</span>,
      },
      { id: "author", label: t("author"), width: 110, grow: 0, cell: (query) => query.author },
      {
        id: "created",
        label: t("when"),
        width: 120,
        grow: 0,
        end: true,
        cell: (query) => <Ago time={query.created} />,
      },
    ],
    [t],
  );
  return (
    <ListGrid
      list={list}
      label={t("history")}
      columns={columns}
      rowId={(query) => query.id}
      onOpen={onOpen}
      cardHeight={84}
      card={(query) => (
        <div className="flex h-full flex-col justify-between text-sm">
          <code className="mono truncate text-xs">{query.sql.replaceAll(/\s+/g, " ")}</code>
          <Progress command={query} />
          <span className="flex justify-between gap-3 text-xs text-text-3">
            <span className="truncate">{query.author}</span>
            <Ago time={query.created} />
          </span>
        </div>
      )}
      empty={
        <Empty icon={DatabaseZap} title={t("none")}>
          {t("noneHint")}
        </Empty>
      }
    />
  );
}
