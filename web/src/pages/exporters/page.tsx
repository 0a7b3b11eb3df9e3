import { useQuery } from "@tanstack/react-query";
import { Router as RouterIcon } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { useKpis } from "@/live/live";
import { LinkButton } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { Dialog } from "@/ui/overlay";
import { PageHeader } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { type Exporter, ExporterSheet, protocolName, State } from "./sheet";
import { text } from "./strings";

const exportersQuery = {
  queryKey: ["exporters"],
  queryFn: () => must(api.GET("/api/v1/exporters")),
  refetchInterval: 10_000,
};

function counter(exporter: Exporter, ...names: string[]): number {
  const counters = exporter.counters as Record<string, unknown>;
  return names.reduce((sum, name) => sum + (typeof counters[name] === "number" ? counters[name] : 0), 0);
}

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
  const [shownId, setShownId] = useState<string | null>(null);
  const id = (e: Exporter) => `${e.tenant}/${e.exporter}/${e.domain}/${protocolName(e.protocol)}`;
  const columns = useMemo<readonly Column<Exporter>[]>(
    () => [
      {
        id: "exporter",
        label: t("address"),
        width: 160,
        grow: 2,
        fixed: true,
        cell: (e) => <span className="mono font-medium">{e.exporter}</span>,
        value: (e) => e.exporter,
      },
      {
        id: "protocol",
        label: t("protocol"),
        width: 100,
        grow: 0,
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
        cell: (e) => <State exporter={e} />,
        value: (e) => e.state,
      },
      {
        id: "flows",
        label: t("flows"),
        width: 100,
        grow: 0,
        end: true,
        cell: (e) => format.count(counter(e, "records", "flows")),
        value: (e) => counter(e, "records", "flows"),
      },
      {
        id: "missing",
        label: t("missing"),
        width: 148,
        grow: 0,
        end: true,
        cell: (e) => format.number(counter(e, "missing", "lost")),
        value: (e) => counter(e, "missing", "lost"),
      },
      {
        id: "first_seen",
        label: t("first"),
        width: 132,
        grow: 0,
        end: true,
        hidden: true,
        cell: (e) => <Ago time={e.first_seen} />,
        value: (e) => e.first_seen,
      },
      {
        id: "last_seen",
        label: t("last"),
        width: 132,
        grow: 0,
        end: true,
        cell: (e) => <Ago time={e.last_seen} />,
        value: (e) => e.last_seen,
      },
    ],
    [t, format],
  );
  const { shown, ids, choose } = useColumns("exporters", columns);
  const items = query.data?.items ?? [];
  const chosen = items.find((e) => id(e) === shownId);
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={t("title")} detail={t("lead")}>
        <ExportMenu
          name="exporters"
          columns={columns}
          pages={async function* () {
            yield items;
          }}
        />
        <ColumnsMenu all={columns} ids={ids} choose={choose} />
      </PageHeader>
      <Figures />
      <div className="panel mx-3 mb-3 flex min-h-64 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">
        <Loaded query={query}>
          {(data) => (
            <Grid
              label={t("title")}
              columns={shown}
              rows={data.items}
              rowId={id}
              onOpen={(e) => setShownId(id(e))}
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
              }
            />
          )}
        </Loaded>
      </div>
      <Dialog open={chosen !== undefined} onClose={() => setShownId(null)} title={chosen?.exporter ?? ""} sheet>
        {chosen && <ExporterSheet exporter={chosen} />}
      </Dialog>
    </div>
  );
}
