import { CircleX } from "lucide-react";
import { useMemo } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { RUN_STATES } from "@/pages/commands/data";
import { RunStateMark } from "@/pages/commands/parts";
import { text as commands } from "@/pages/commands/strings";
import { HostCard, hostColumn, saysColumn } from "@/pages/hosts/of-host";
import { Badge } from "@/ui/badge";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid } from "@/ui/list";
import { Empty } from "@/ui/state";
import { type LiveHost, type LiveQuery, liveHostsQuery } from "./data";
import type { LiveQuerySearch } from "./search";
import { text } from "./strings";

function useHostColumns(): readonly Column<LiveHost>[] {
  const t = useText(text);
  return useMemo<readonly Column<LiveHost>[]>(
    () => [
      hostColumn(t("host")),
      {
        id: "state",
        label: t("state"),
        width: 120,
        grow: 0,
        cell: (run) => <RunStateMark state={run.state} />,
        value: (run) => run.state,
      },
      {
        id: "rows",
        label: t("rows"),
        width: 150,
        grow: 0,
        end: true,
        cell: (run) => (
          <span className="inline-flex items-center gap-2">
            {run.more && <Badge tone="medium">{t("moreRows")}</Badge>}
            {run.rows}
          </span>
        ),
        value: (run) => run.rows,
      },
      {
        id: "took_ms",
        label: t("took"),
        width: 100,
        grow: 0,
        end: true,
        cell: (run) => (typeof run.took_ms === "number" ? t("ms", { ms: run.took_ms }) : "–"),
        value: (run) => run.took_ms,
      },
      saysColumn(t("says")),
    ],
    [t],
  );
}

/** How far each host is, and why those that could not answer could not. */
export function LiveHosts({
  query,
  state,
  onChange,
}: {
  query: LiveQuery;
  state: string | undefined;
  onChange: (part: Partial<LiveQuerySearch>) => void;
}) {
  const t = useText(text);
  const c = useText(commands);
  const paged = liveHostsQuery(query.id, state);
  const list = useRows(paged);
  const columns = useHostColumns();
  return (
    <>
      <div className="flex items-center gap-2 px-3 py-1.5">
        <Select
          label={t("state")}
          value={state ?? "any"}
          onChange={(next) => onChange({ state: next === "any" ? undefined : next })}
          options={[
            { value: "any", label: t("anyState") },
            ...RUN_STATES.map((one) => ({ value: one as string, label: c(one) })),
          ]}
        />
        <span className="ml-auto">
          <ExportMenu name="live-query-hosts" columns={columns} pages={() => allPages(paged)} />
        </span>
      </div>
      <ListGrid
        list={list}
        label={t("hosts")}
        columns={columns}
        rowId={(run) => run.host}
        onOpen={(run) => onChange({ part: undefined, of: run.host })}
        cardHeight={68}
        card={(run) => (
          <HostCard
            row={{ ...run, text: run.text || `${t("rows")}: ${run.rows}` }}
            mark={<RunStateMark state={run.state} />}
          />
        )}
        empty={<Empty icon={CircleX} title={t("noneFound")} />}
      />
    </>
  );
}
