import { useQuery } from "@tanstack/react-query";
import { ShieldCheck } from "lucide-react";
import { useState } from "react";
import { allPages, useRows } from "@/api/list";
import { usePaper } from "@/app/paper";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { useFindingColumns } from "@/pages/vulnerabilities/columns";
import { hostRowsQuery, summaryQuery } from "@/pages/vulnerabilities/data";
import { Exposure } from "@/pages/vulnerabilities/exposure";
import { text } from "@/pages/vulnerabilities/strings";
import { FixFirst } from "@/pages/vulnerabilities/tables";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid, ListSearch } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import type { TabProps } from "./page";

/** What is wrong with a host, and what to fix there first. */
export function HostVulnerabilities({ host, state, onChange }: TabProps) {
  const t = useText(text);
  const format = useFormat();
  const [view, setView] = useState<"list" | "past" | "fixes" | "exposure">("list");
  const states = view === "past" ? "open,not_running,excepted,fixed,withdrawn" : "open,not_running,excepted";
  const query = hostRowsQuery({ host: host.id, state: states, ...(state.q ? { search: state.q } : {}) });
  const list = useRows(query);
  const columns = useFindingColumns("host");
  const summary = useQuery(summaryQuery({}, host.id));
  const paper = usePaper();
  const path = `/api/v1/hosts/${encodeURIComponent(host.id)}/vulnerabilities/export`;
  const more = [
    paper({
      label: t("pdf"),
      path: "/api/v1/reports/vulnerabilities",
      query: () => ({ host: host.id }),
      file: "vulnerabilities.pdf",
    }),
    ...(["sarif", "cyclonedx"] as const).map((format) =>
      paper({ label: t(format), path, query: () => ({ format }), file: `vulnerabilities.${format}.json` }),
    ),
  ];
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
            { value: "exposure", label: t("reached") },
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
        {view === "fixes" && <FixFirst state={{}} host={host.id} />}
        {view === "exposure" && <Exposure host={host.id} />}
        {(view === "list" || view === "past") && (
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
