import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { BellMinus, BellOff, FilterX } from "lucide-react";
import { useCallback, useState } from "react";
import { allPages, useRows } from "@/api/list";
import { usePaper } from "@/app/paper";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useLive } from "@/live/live";
import { Views } from "@/saved/views";
import { Button, LinkButton } from "@/ui/button";
import { NOTHING, type Selection } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListFrame, ListGrid } from "@/ui/list";
import { Empty } from "@/ui/state";
import { AlertBulk } from "./bulk";
import { Chips } from "./chips";
import { AlertCard, useAlertColumns } from "./columns";
import { alertCountsQuery, alertQuery, alertsQuery } from "./data";
import { Filters } from "./filters";
import { Groups } from "./groups";
import { type AlertSearch, alertSearch } from "./search";
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

export default function AlertsPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/alerts" });
  const navigate = useNavigate({ from: "/alerts" });
  const all = useAlertColumns();
  const { shown, ids, choose } = useColumns("alerts", all);
  const query = alertsQuery(state);
  const list = useRows(query, state.group === undefined);
  const counts = useQuery(alertCountsQuery(state));
  const fresh = useFresh();
  const triage = useCan("alerts:triage");
  const [selection, setSelection] = useState<Selection>(NOTHING);
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
  const filtered = Object.keys(state).some((key) => !["sort", "status", "group"].includes(key));
  const total = counts.data?.total;
  const pdf = usePaper()({
    label: t("pdf"),
    path: "/api/v1/reports/alerts",
    query: () => ({ ...alertQuery(state), sort: state.sort ?? "activity" }),
    file: "alerts.pdf",
  });
  return (
    <ListFrame
      title={t("title")}
      detail={total === undefined ? undefined : t("count", { n: total })}
      tools={
        <>
          <Suppressions />
          <Views
            page="alerts"
            search={state}
            ids={ids}
            choose={choose}
            onOpen={(view) => {
              setSelection(NOTHING);
              void navigate({ search: alertSearch(view), replace: true });
            }}
          />
          <ExportMenu name="alerts" columns={all} pages={() => allPages(query)} more={[pdf]} />
          <ColumnsMenu all={all} ids={ids} choose={choose} />
        </>
      }
      filters={
        <>
          <Filters state={state} onChange={change} />
          <Chips state={state} onChange={change} />
          {filtered && (
            <Button look="quiet" icon={FilterX} onClick={() => void navigate({ search: {}, replace: true })}>
              {t("clear")}
            </Button>
          )}
        </>
      }
      above={
        <>
          <Volume state={state} onBrush={onBrush} />
          <AlertBulk
            selection={selection}
            rows={list.rows}
            total={total ?? list.rows.length}
            state={state}
            onSelect={setSelection}
          />
        </>
      }
    >
      {state.group ? (
        <Groups state={state} by={state.group} onOpen={change} />
      ) : (
        <ListGrid
          list={list}
          label={t("title")}
          columns={shown}
          rowId={(alert) => alert.id}
          total={total}
          sort={state.sort ?? "activity"}
          onSort={(sort) => change({ sort })}
          {...(triage ? { selection, onSelect: setSelection } : {})}
          onOpen={(alert) => void navigate({ to: "/alerts/$id", params: { id: alert.id } })}
          card={(alert) => <AlertCard alert={alert} />}
          fresh={fresh}
          empty={<Quiet filtered={filtered || state.status !== undefined} />}
        />
      )}
    </ListFrame>
  );
}

/** Where the rules live that keep alerts away. */
function Suppressions() {
  const t = useText(text);
  return (
    <LinkButton to="/suppressions" icon={BellMinus}>
      {t("suppressions")}
    </LinkButton>
  );
}

function Quiet({ filtered }: { filtered: boolean }) {
  const t = useText(text);
  if (filtered) {
    return (
      <Empty icon={FilterX} title={t("noneTitle")}>
        {t("noneHint")}
      </Empty>
    );
  }
  return (
    <Empty icon={BellOff} title={t("quietTitle")} action={<LinkButton to="/exporters">{t("toExporters")}</LinkButton>}>
      {t("quietHint")}
    </Empty>
  );
}
