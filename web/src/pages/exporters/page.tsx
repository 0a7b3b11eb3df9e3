import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Router as RouterIcon } from "lucide-react";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { useKpis } from "@/live/live";
import { Views } from "@/saved/views";
import { LinkButton } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { ListFrame, ListSearch } from "@/ui/list";
import { Dialog } from "@/ui/overlay";
import { Empty, Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { chosenExporters, counter, type Exporter, exporterId, exportersQuery, ORDER, protocolName } from "./data";
import { type ExporterSearch, exporterSearch } from "./search";
import { ExporterSheet, State } from "./sheet";
import { text } from "./strings";

function Figures() {
  const t = useText(text);
  const format = useFormat();
  const kpis = useKpis();
  const tiles: [label: string, value: string, bad?: boolean][] = [
    [t("heard"), kpis ? format.number(kpis.exporters) : "–"],
    [t("rate"), kpis ? format.number(Math.round(kpis.flows_per_second)) : "–"],
    [t("traffic"), kpis ? t("perSecond", { value: format.bytes(kpis.bytes_per_second) }) : "–"],
    [t("lostHere"), kpis ? format.number(kpis.lost_total) : "–", (kpis?.lost_total ?? 0) > 0],
    [t("lostThere"), kpis ? format.number(kpis.missing_total) : "–", (kpis?.missing_total ?? 0) > 0],
  ];
  return (
    <dl className="mx-4 mb-4 mt-0 grid grid-cols-2 gap-px overflow-hidden rounded-box border border-line bg-line md:mx-6 md:grid-cols-5">
      {tiles.map(([label, value, bad]) => (
        <div key={label} className="bg-surface px-4 py-3 max-md:last:col-span-2">
          <dt className="truncate text-xs text-text-3">{label}</dt>
          <dd className={`num m-0 mt-1 text-xl font-semibold ${bad ? "text-high" : ""}`}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export default function ExportersPage() {
  const t = useText(text);
  const format = useFormat();
  const query = useQuery(exportersQuery);
  const state = useSearch({ from: "/inside/exporters" });
  const navigate = useNavigate({ from: "/exporters" });
  const change = (part: Partial<ExporterSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const columns = useMemo<readonly Column<Exporter>[]>(
    () => [
      {
        id: "exporter",
        label: t("address"),
        width: 160,
        grow: 2,
        fixed: true,
        sort: "exporter",
        cell: (e) => <span className="mono font-medium">{e.exporter}</span>,
        value: (e) => e.exporter,
      },
      {
        id: "protocol",
        label: t("protocol"),
        width: 100,
        grow: 0,
        sort: "protocol",
        cell: (e) => protocolName(e.protocol),
        value: (e) => e.protocol,
      },
      {
        id: "domain",
        label: t("domain"),
        width: 84,
        grow: 0,
        end: true,
        cell: (e) => e.domain,
        value: (e) => e.domain,
      },
      {
        id: "state",
        label: t("state"),
        width: 168,
        grow: 0,
        sort: "state",
        cell: (e) => <State exporter={e} />,
        value: (e) => e.state,
      },
      {
        id: "flows",
        label: t("flows"),
        width: 100,
        grow: 0,
        end: true,
        sort: "flows",
        cell: (e) => format.count(counter(e, "flows")),
        value: (e) => counter(e, "flows"),
      },
      {
        id: "missing",
        label: t("missing"),
        width: 148,
        grow: 0,
        end: true,
        sort: "missing",
        cell: (e) => format.number(counter(e, "lost")),
        value: (e) => counter(e, "lost"),
      },
      {
        id: "first_seen",
        label: t("first"),
        width: 132,
        grow: 0,
        end: true,
        hidden: true,
        sort: "first_seen",
        cell: (e) => <Ago time={e.first_seen} />,
        value: (e) => e.first_seen,
      },
      {
        id: "last_seen",
        label: t("last"),
        width: 132,
        grow: 0,
        end: true,
        sort: "last_seen",
        cell: (e) => <Ago time={e.last_seen} />,
        value: (e) => e.last_seen,
      },
    ],
    [t, format],
  );
  const { shown, ids, choose } = useColumns("exporters", columns);
  const rows = useMemo(() => chosenExporters(query.data?.items ?? [], state), [query.data, state]);
  const chosen = query.data?.items.find((e) => exporterId(e) === state.show);
  const { show: _, ...kept } = state;
  return (
    <ListFrame
      title={t("title")}
      detail={t("lead")}
      tools={
        <>
          <Views
            page="exporters"
            search={kept}
            ids={ids}
            choose={choose}
            onOpen={(view) => void navigate({ search: exporterSearch(view), replace: true })}
          />
          <ExportMenu name="exporters" columns={columns} pages={() => [rows]} />
          <ColumnsMenu all={columns} ids={ids} choose={choose} />
        </>
      }
      filters={
        <>
          <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
          <Segmented
            label={t("state")}
            value={state.state ?? "all"}
            onChange={(next) => change({ state: next === "all" ? undefined : next })}
            tabs={(["all", "receiving", "waiting", "silent"] as const).map((value) => ({ value, label: t(value) }))}
          />
        </>
      }
      above={<Figures />}
    >
      <Loaded query={query}>
        {(data) => (
          <Grid
            label={t("title")}
            columns={shown}
            rows={rows}
            rowId={exporterId}
            sort={state.sort ?? ORDER}
            onSort={(sort) => change({ sort })}
            onOpen={(e) => change({ show: exporterId(e) })}
            cardHeight={72}
            card={(e) => (
              <div className="flex h-full flex-col justify-between">
                <div className="flex justify-between">
                  <span className="mono font-medium">{e.exporter}</span>
                  <State exporter={e} />
                </div>
                <div className="flex justify-between text-xs text-text-3">
                  <span>{protocolName(e.protocol)}</span>
                  <Ago time={e.last_seen} />
                </div>
              </div>
            )}
            empty={
              data.items.length > 0 ? (
                <Empty icon={RouterIcon} title={t("noneFound")}>
                  {t("noneFoundHint")}
                </Empty>
              ) : (
                <Empty
                  icon={RouterIcon}
                  title={t("none")}
                  action={
                    <LinkButton look="primary" to="/start">
                      {t("how")}
                    </LinkButton>
                  }
                >
                  {t("noneHint")}
                </Empty>
              )
            }
          />
        )}
      </Loaded>
      <Dialog
        open={chosen !== undefined}
        onClose={() => change({ show: undefined })}
        title={chosen?.exporter ?? ""}
        sheet
      >
        {chosen && <ExporterSheet exporter={chosen} />}
      </Dialog>
    </ListFrame>
  );
}
