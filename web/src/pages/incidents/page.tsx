import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, ShieldCheck } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useSlowText } from "@/pages/alerts/page";
import { SEVERITIES, SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { SearchBox, Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { PageHeader } from "@/ui/panel";
import { Empty, Failure, Loaded, Loading } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { CreateIncident } from "./create";
import { boardQuery, type Incident, incidentPages, incidentsQuery, type Status } from "./data";
import { ClockText, IncidentCard, IncidentStatus, Owner, runningClock } from "./parts";
import type { IncidentSearch } from "./search";
import { text } from "./strings";

function Board({ state }: { state: IncidentSearch }) {
  const t = useText(text);
  const query = useQuery(boardQuery(state));
  return (
    <Loaded query={query}>
      {(board) => (
        <div className="flex min-h-0 flex-1 gap-3 overflow-x-auto px-4 pb-4 md:px-6">
          {board.columns.map((column) => (
            <section
              key={column.status}
              aria-label={t(column.status as Status)}
              className="flex w-72 shrink-0 flex-col rounded-l border border-line bg-sunken xl:w-auto xl:min-w-56 xl:flex-1"
            >
              <header className="flex items-center justify-between px-3 py-2.5">
                <IncidentStatus status={column.status} />
                <span className="num text-xs text-text-3">{column.count}</span>
              </header>
              <div className="flex min-h-0 flex-1 flex-col gap-2 overflow-y-auto px-2 pb-2">
                {column.items.length === 0 && (
                  <p className="m-0 px-1 py-3 text-center text-xs text-text-3">{t("columnEmpty")}</p>
                )}
                {column.items.map((incident) => (
                  <IncidentCard key={incident.id} incident={incident} />
                ))}
                {column.count > column.items.length && (
                  <p className="m-0 text-center text-xs text-text-3">
                    {t("moreHere", { n: column.count - column.items.length })}
                  </p>
                )}
              </div>
            </section>
          ))}
        </div>
      )}
    </Loaded>
  );
}

function useIncidentColumns(): readonly Column<Incident>[] {
  const t = useText(text);
  return useMemo(
    () => [
      {
        id: "number",
        label: "#",
        width: 64,
        grow: 0,
        sort: "number",
        cell: (i) => <span className="num text-text-3">#{i.number}</span>,
        value: (i) => i.number,
      },
      {
        id: "severity",
        label: t("severity"),
        width: 104,
        grow: 0,
        sort: "severity",
        cell: (i) => <SeverityMark severity={i.severity} />,
        value: (i) => i.severity,
      },
      {
        id: "title",
        label: t("columnTitle"),
        width: 260,
        grow: 3,
        fixed: true,
        sort: "title",
        cell: (i) => (
          <Link
            to="/incidents/$id"
            params={{ id: String(i.number) }}
            className="font-medium text-text no-underline hover:text-accent"
          >
            {i.title}
          </Link>
        ),
        value: (i) => i.title,
      },
      {
        id: "status",
        label: t("status"),
        width: 124,
        grow: 0,
        cell: (i) => <IncidentStatus status={i.status} />,
        value: (i) => i.status,
      },
      {
        id: "owner",
        label: t("owner"),
        width: 130,
        grow: 0,
        cell: (i) => <Owner incident={i} />,
        value: (i) => i.owner?.name,
      },
      {
        id: "sla",
        label: t("due"),
        width: 130,
        grow: 0,
        sort: "sla",
        cell: (i) => {
          const clock = runningClock(i);
          return clock ? <ClockText clock={clock} /> : <span className="text-text-3">–</span>;
        },
        value: (i) => runningClock(i)?.due,
      },
      {
        id: "alerts",
        label: t("alerts"),
        width: 76,
        grow: 0,
        end: true,
        cell: (i) => i.counts.alerts,
        value: (i) => i.counts.alerts,
      },
      {
        id: "tasks",
        label: t("tasks"),
        width: 84,
        grow: 0,
        end: true,
        cell: (i) => `${i.counts.tasks_done}/${i.counts.tasks}`,
        value: (i) => `${i.counts.tasks_done}/${i.counts.tasks}`,
      },
      {
        id: "kind",
        label: t("kind"),
        width: 150,
        grow: 0,
        hidden: true,
        cell: (i) => t(i.kind as "general"),
        value: (i) => i.kind,
      },
      {
        id: "updated",
        label: t("updated"),
        width: 116,
        grow: 0,
        end: true,
        sort: "updated",
        cell: (i) => (
          <span className="text-text-2">
            <Ago time={i.updated} />
          </span>
        ),
        value: (i) => i.updated,
      },
    ],
    [t],
  );
}

export default function IncidentsPage() {
  const t = useText(text);
  const u = useText(ui);
  const state = useSearch({ from: "/inside/incidents" });
  const navigate = useNavigate({ from: "/incidents" });
  const write = useCan("incidents:write");
  const [creating, setCreating] = useState(false);
  const columns = useIncidentColumns();
  const { shown, ids, choose } = useColumns("incidents", columns);
  const list = useInfiniteQuery({ ...incidentsQuery(state), enabled: state.view !== "board" });
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const change = (part: Partial<IncidentSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const [q, setQ] = useSlowText(state.q ?? "", (next) => change({ q: next || undefined }));
  const { fetchNextPage, hasNextPage } = list;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={t("title")} detail={list.data && !hasNextPage ? t("count", { n: rows.length }) : "\u00a0"}>
        <Segmented
          label={t("view")}
          value={state.view ?? "list"}
          onChange={(view) => change({ view: view === "board" ? "board" : undefined })}
          tabs={[
            { value: "list", label: t("list") },
            { value: "board", label: t("board") },
          ]}
        />
        <ExportMenu name="incidents" columns={columns} pages={() => incidentPages(state)} />
        {state.view !== "board" && <ColumnsMenu all={columns} ids={ids} choose={choose} />}
        {write && (
          <Button look="primary" icon={Plus} onClick={() => setCreating(true)}>
            {t("newIncident")}
          </Button>
        )}
      </PageHeader>
      <div className="flex flex-wrap items-center gap-2 px-4 pb-3 md:px-6">
        <SearchBox
          label={t("search")}
          value={q}
          onChange={(event) => setQ(event.target.value)}
          className="w-full sm:w-72"
        />
        <Segmented
          label={t("which")}
          value={state.which ?? "open"}
          onChange={(which) => change({ which: which === "open" ? undefined : which })}
          tabs={(["open", "mine", "watching", "all"] as const).map((value) => ({ value, label: t(value) }))}
        />
        <Select
          label={t("severity")}
          value={state.severity ?? "any"}
          onChange={(severity) => change({ severity: severity === "any" ? undefined : severity })}
          options={[
            { value: "any" as const, label: `${t("severity")}: ${t("all")}` },
            ...SEVERITIES.filter((level) => level !== "informational").map((level) => ({
              value: level,
              label: `≥ ${u(level)}`,
            })),
          ]}
        />
      </div>
      {state.view === "board" ? (
        <Board state={state} />
      ) : (
        <div className="panel mx-3 mb-3 flex min-h-0 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">
          {list.error && !list.data ? (
            <Failure error={list.error} onRetry={() => void list.refetch()} />
          ) : !list.data ? (
            <Loading rows={10} />
          ) : (
            <Grid
              label={t("title")}
              columns={shown}
              rows={rows}
              rowId={(incident) => incident.id}
              onMore={hasNextPage ? more : undefined}
              loadingMore={list.isFetchingNextPage}
              sort={state.sort ?? "updated"}
              onSort={(sort) => change({ sort })}
              onOpen={(incident) => void navigate({ to: "/incidents/$id", params: { id: String(incident.number) } })}
              card={(incident) => (
                <div className="flex h-full flex-col justify-between">
                  <div className="flex items-center justify-between">
                    <SeverityMark severity={incident.severity} />
                    <IncidentStatus status={incident.status} />
                  </div>
                  <Link
                    to="/incidents/$id"
                    params={{ id: String(incident.number) }}
                    className="truncate font-medium text-text no-underline"
                  >
                    #{incident.number} {incident.title}
                  </Link>
                  <div className="flex justify-between text-xs text-text-3">
                    <Owner incident={incident} />
                    <Ago time={incident.updated} />
                  </div>
                </div>
              )}
              empty={
                <Empty icon={ShieldCheck} title={t("noneTitle")}>
                  {t("noneHint")}
                </Empty>
              }
            />
          )}
        </div>
      )}
      <CreateIncident open={creating} onClose={() => setCreating(false)} />
    </div>
  );
}
