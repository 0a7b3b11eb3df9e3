import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import type { Column } from "@/ui/grid/column";
import { Ago } from "@/ui/time";
import type { Vulnerability } from "./data";
import { Fixes, Name, Rating, Risk } from "./parts";
import { text } from "./strings";

export function useVulnerabilityColumns(): readonly Column<Vulnerability>[] {
  const t = useText(text);
  const format = useFormat();
  return useMemo<readonly Column<Vulnerability>[]>(
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
        sort: "rating",
        cell: (row) => <Rating rating={row.detail?.rating} />,
        value: (row) => row.detail?.rating,
      },
      {
        id: "risk",
        label: t("risk"),
        width: 110,
        grow: 0,
        end: true,
        sort: "risk",
        cell: (row) => <Risk risk={row.risk} />,
        value: (row) => row.risk,
      },
      {
        id: "package",
        label: t("package"),
        width: 150,
        grow: 1,
        cell: (row) => <span className="mono truncate">{row.package}</span>,
        value: (row) => row.package,
      },
      {
        id: "ecosystem",
        label: t("ecosystem"),
        width: 112,
        grow: 0,
        cell: (row) => <span className="text-text-2">{row.ecosystem}</span>,
        value: (row) => row.ecosystem,
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
        id: "hosts",
        label: t("hosts"),
        width: 76,
        grow: 0,
        end: true,
        sort: "hosts",
        cell: (row) => <span className="num">{format.count(row.hosts)}</span>,
        value: (row) => row.hosts,
      },
      {
        id: "overdue",
        label: t("overdue"),
        width: 86,
        grow: 0,
        end: true,
        cell: (row) => (
          <span className={row.overdue > 0 ? "num text-critical" : "num text-text-3"}>{format.count(row.overdue)}</span>
        ),
        value: (row) => row.overdue,
      },
      {
        id: "epss",
        label: t("epss"),
        width: 76,
        grow: 0,
        end: true,
        hidden: true,
        sort: "epss",
        cell: (row) => <span className="num">{row.detail?.epss == null ? "–" : format.percent(row.detail.epss)}</span>,
        value: (row) => row.detail?.epss,
      },
      {
        id: "summary",
        label: t("summary"),
        width: 200,
        grow: 2,
        hidden: true,
        cell: (row) => <span className="truncate text-text-2">{row.detail?.summary}</span>,
        value: (row) => row.detail?.summary,
      },
      {
        id: "first_seen",
        label: t("firstSeen"),
        width: 112,
        grow: 0,
        end: true,
        sort: "first_seen",
        cell: (row) => <Ago time={row.first_seen} />,
        value: (row) => row.first_seen,
      },
    ],
    [t, format],
  );
}

export function VulnerabilityCard({ row }: { row: Vulnerability }) {
  const t = useText(text);
  return (
    <div className="flex flex-col gap-1">
      <div className="flex items-center justify-between gap-3">
        <Name name={row.vulnerability} exploited={row.detail?.exploited} />
        <Risk risk={row.risk} />
      </div>
      <div className="flex items-center gap-3 text-sm text-text-2">
        <Rating rating={row.detail?.rating} />
        <span className="mono truncate">{row.package}</span>
        <span className="shrink-0">
          {row.hosts} {t("hosts")}
        </span>
      </div>
    </div>
  );
}
