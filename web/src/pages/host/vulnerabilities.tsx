import { useQuery } from "@tanstack/react-query";
import { ShieldCheck } from "lucide-react";
import { useMemo, useState } from "react";
import { requestHeaders } from "@/api/client";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { type HostVulnerability, hostRowsQuery, summaryQuery } from "@/pages/vulnerabilities/data";
import { Due, Fixes, Name, Rating, Risk, Standing } from "@/pages/vulnerabilities/parts";
import { text } from "@/pages/vulnerabilities/strings";
import { FixFirst } from "@/pages/vulnerabilities/tables";
import type { Column } from "@/ui/grid/column";
import { ExportMenu, type Making } from "@/ui/grid/export-menu";
import { ListGrid, ListSearch } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import type { TabProps } from "./page";

function useColumnsOfHost(): readonly Column<HostVulnerability>[] {
  const t = useText(text);
  return useMemo<readonly Column<HostVulnerability>[]>(
    () => [
      {
        id: "vulnerability",
        label: t("vulnerability"),
        width: 210,
        grow: 1,
        fixed: true,
        cell: (row) => <Name name={row.vulnerability} exploited={row.detail?.exploited} />,
        value: (row) => row.vulnerability,
      },
      {
        id: "rating",
        label: t("rating"),
        width: 104,
        grow: 0,
        cell: (row) => <Rating rating={row.detail?.rating} />,
        value: (row) => row.detail?.rating,
      },
      {
        id: "risk",
        label: t("risk"),
        width: 110,
        grow: 0,
        end: true,
        cell: (row) => <Risk risk={row.risk} />,
        value: (row) => row.risk,
      },
      {
        id: "installed",
        label: t("installed"),
        width: 200,
        grow: 2,
        cell: (row) => (
          <span className="mono truncate">
            {row.installed.map(({ name, version }) => `${name} ${version}`).join(", ") || row.package}
          </span>
        ),
        value: (row) => row.installed.map(({ name, version }) => `${name} ${version}`).join(", "),
      },
      {
        id: "fix",
        label: t("fix"),
        width: 130,
        grow: 1,
        cell: (row) => <Fixes versions={row.detail?.fixed_in} />,
        value: (row) => row.detail?.fixed_in.join(" "),
      },
      {
        id: "state",
        label: t("state"),
        width: 104,
        grow: 0,
        cell: (row) => <Standing state={row.state} />,
        value: (row) => row.state,
      },
      {
        id: "first_seen",
        label: t("firstSeen"),
        width: 116,
        grow: 0,
        end: true,
        cell: (row) => <Ago time={row.first_seen} />,
        value: (row) => row.first_seen,
      },
      {
        id: "due",
        label: t("due"),
        width: 130,
        grow: 0,
        end: true,
        cell: (row) => <Due due={row.due} overdue={row.overdue} />,
        value: (row) => row.due,
      },
    ],
    [t],
  );
}

/** A file that the server makes of the host. */
async function take(id: string, format: "sarif" | "cyclonedx", failed: string): Promise<string> {
  const path = `/api/v1/hosts/${encodeURIComponent(id)}/vulnerabilities/export?format=${format}`;
  const answer = await fetch(path, { headers: requestHeaders() });
  if (!answer.ok) throw new Error(failed);
  const link = document.createElement("a");
  const url = URL.createObjectURL(await answer.blob());
  link.href = url;
  link.download = `vulnerabilities.${format}.json`;
  link.click();
  URL.revokeObjectURL(url);
  return link.download;
}

/** What is wrong with a host, and what to fix there first. */
export function HostVulnerabilities({ host, state, onChange }: TabProps) {
  const t = useText(text);
  const format = useFormat();
  const [view, setView] = useState<"list" | "past" | "fixes">("list");
  const states = view === "past" ? "open,excepted,fixed,withdrawn" : "open,excepted";
  const query = hostRowsQuery({ host: host.id, state: states, ...(state.q ? { search: state.q } : {}) });
  const list = useRows(query);
  const columns = useColumnsOfHost();
  const summary = useQuery(summaryQuery({}, host.id));
  const more: Making[] = (["sarif", "cyclonedx"] as const).map((kind) => ({
    label: t(kind),
    run: () => take(host.id, kind, t("notLoaded")),
  }));
  const figures = summary.data;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="filter-row px-4 py-3 md:px-6">
        <ListSearch label={t("search")} value={state.q} onSearch={(q) => onChange({ q })} />
        <Segmented
          label={t("parts")}
          value={view}
          onChange={setView}
          tabs={[
            { value: "list", label: t("openNow"), count: figures?.open },
            { value: "past", label: t("past") },
            { value: "fixes", label: t("fixes") },
          ]}
        />
        {figures && figures.overdue > 0 && (
          <span className="text-sm text-critical">
            {t("overdue")}: {format.count(figures.overdue)}
          </span>
        )}
        <span className="ml-auto">
          <ExportMenu name="vulnerabilities" columns={columns} pages={() => allPages(query)} more={more} />
        </span>
      </div>
      <div className="panel mx-3 mb-3 flex min-h-0 flex-1 flex-col overflow-auto md:mx-6 md:mb-6">
        {view === "fixes" ? (
          <FixFirst state={{}} host={host.id} />
        ) : (
          <ListGrid
            list={list}
            label={t("title")}
            columns={columns}
            rowId={(row) => `${row.ecosystem} ${row.package} ${row.vulnerability}`}
            empty={
              <Empty icon={ShieldCheck} title={t("hostClean")}>
                {t("hostUnjudged")}
              </Empty>
            }
          />
        )}
      </div>
    </div>
  );
}
