import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { BellOff, FilterX } from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useKeys } from "@/app/keys";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useLive } from "@/live/live";
import { SEVERITIES } from "@/ui/badge";
import { Button, LinkButton } from "@/ui/button";
import { SearchBox, Select } from "@/ui/form";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { NOTHING, type Selection } from "@/ui/grid/column";
import { Grid } from "@/ui/grid/grid";
import { PageHeader } from "@/ui/panel";
import { Empty, Failure, Loading } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Segmented } from "@/ui/tabs";
import { BulkBar } from "./bulk";
import { Chips } from "./chips";
import { AlertCard, useAlertColumns } from "./columns";
import { alertCountsQuery, alertPages, alertsQuery } from "./data";
import type { AlertSearch } from "./search";
import { text } from "./strings";
import { Volume } from "./volume";

const FRESH_MS = 2_000;

/** Ids of alerts that came or changed in the last seconds. */
function useFresh(): ReadonlySet<string> {
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  useLive((message) => {
    if (message.type !== "alert" || !("alert" in message)) return;
    const id = (message.alert as { id: string }).id;
    setFresh((before) => new Set(before).add(id));
    setTimeout(() => setFresh((before) => new Set([...before].filter((other) => other !== id))), FRESH_MS);
  });
  return fresh;
}

/** A text field that tells its value a moment after the last key. */
export function useSlowText(value: string, tell: (value: string) => void): [string, (value: string) => void] {
  const [own, setOwn] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useEffect(() => setOwn(value), [value]);
  const set = (next: string) => {
    setOwn(next);
    if (timer.current) clearTimeout(timer.current);
    timer.current = setTimeout(() => tell(next), 250);
  };
  return [own, set];
}

export default function AlertsPage() {
  const t = useText(text);
  const u = useText(ui);
  const state = useSearch({ from: "/inside/alerts" });
  const navigate = useNavigate({ from: "/alerts" });
  const searchBox = useRef<HTMLInputElement>(null);
  const all = useAlertColumns();
  const { shown, ids, choose } = useColumns("alerts", all);
  const list = useInfiniteQuery(alertsQuery(state));
  const counts = useQuery(alertCountsQuery(state));
  const fresh = useFresh();
  const triage = useCan("alerts:triage");
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const change = useCallback(
    (part: Partial<AlertSearch>) => {
      // What was selected belongs to the list that was shown.
      setSelection(NOTHING);
      void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
    },
    [navigate],
  );
  const onBrush = useCallback(
    (from: number, to: number) => change({ from: new Date(from).toISOString(), to: new Date(to).toISOString() }),
    [change],
  );
  const [query, setQuery] = useSlowText(state.q ?? "", (q) => change({ q: q || undefined }));
  useKeys({ "/": () => searchBox.current?.focus() });
  const filtered = Object.keys(state).some((key) => key !== "sort" && key !== "status");
  const { fetchNextPage, hasNextPage } = list;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={t("title")} detail={counts.data ? t("count", { n: counts.data.total }) : "\u00a0"}>
        <ExportMenu name="alerts" columns={all} pages={() => alertPages(state)} />
        <ColumnsMenu all={all} ids={ids} choose={choose} />
      </PageHeader>
      <div className="flex flex-wrap items-center gap-2 px-4 pb-3 md:px-6">
        <SearchBox
          ref={searchBox}
          label={t("search")}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          className="w-full sm:w-72"
        />
        <Segmented
          label={t("status")}
          value={state.status ?? "open"}
          onChange={(status) => change({ status: status === "open" ? undefined : status })}
          tabs={(["open", "new", "acknowledged", "closed", "all"] as const).map((value) => ({
            value,
            label: t(value),
          }))}
        />
        <Select
          label={t("severity")}
          value={state.severity ?? "any"}
          onChange={(severity) => change({ severity: severity === "any" ? undefined : severity })}
          options={[
            { value: "any" as const, label: t("anySeverity") },
            ...SEVERITIES.filter((level) => level !== "informational").map((level) => ({
              value: level,
              label: t("atLeast", { level: u(level) }),
            })),
          ]}
        />
        <Select
          label={t("replay")}
          value={state.replay ?? "include"}
          onChange={(replay) => change({ replay: replay === "include" ? undefined : replay })}
          options={[
            { value: "include" as const, label: t("replayInclude") },
            { value: "exclude" as const, label: t("replayExclude") },
            { value: "only" as const, label: t("replayOnly") },
          ]}
        />
        <Chips state={state} onChange={change} />
        {filtered && (
          <Button look="quiet" icon={FilterX} onClick={() => void navigate({ search: {}, replace: true })}>
            {t("clear")}
          </Button>
        )}
      </div>
      <Volume state={state} onBrush={onBrush} />
      <BulkBar
        selection={selection}
        rows={rows}
        total={counts.data?.total ?? rows.length}
        state={state}
        onSelect={setSelection}
      />
      <div className="panel mx-3 mb-3 flex min-h-0 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">
        {list.error && !list.data ? (
          <Failure error={list.error} onRetry={() => void list.refetch()} />
        ) : !list.data ? (
          <Loading rows={12} />
        ) : (
          <Grid
            label={t("title")}
            columns={shown}
            rows={rows}
            rowId={(alert) => alert.id}
            total={counts.data?.total}
            onMore={hasNextPage ? more : undefined}
            loadingMore={list.isFetchingNextPage}
            sort={state.sort ?? "activity"}
            onSort={(sort) => change({ sort })}
            {...(triage ? { selection, onSelect: setSelection } : {})}
            onOpen={(alert) => void navigate({ to: "/alerts/$id", params: { id: alert.id } })}
            card={(alert) => <AlertCard alert={alert} />}
            fresh={fresh}
            empty={
              filtered || state.status ? (
                <Empty icon={FilterX} title={t("noneTitle")}>
                  {t("noneHint")}
                </Empty>
              ) : (
                <Empty
                  icon={BellOff}
                  title={t("quietTitle")}
                  action={<LinkButton to="/alerts">{t("toExporters")}</LinkButton>}
                >
                  {t("quietHint")}
                </Empty>
              )
            }
          />
        )}
      </div>
    </div>
  );
}
