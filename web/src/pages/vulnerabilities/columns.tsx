import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import type { Column } from "@/ui/grid/column";
import { Ago } from "@/ui/time";
import type { HostVulnerability, Vulnerability } from "./data";
import { Due, Fixes, Name, Rating, Risk, Standing } from "./parts";
import { text } from "./strings";

/** What a vulnerability has on every page, whether it is of the fleet or of one host. */
type Judged = Pick<Vulnerability, "vulnerability" | "detail" | "risk" | "first_seen">;

/** The columns that all pages have, by name. */
function useShared<Row extends Judged>() {
  const t = useText(text);
  return useMemo(() => {
    const columns = {
      vulnerability: {
        id: "vulnerability",
        label: t("vulnerability"),
        width: 210,
        grow: 1,
        fixed: true,
        cell: (row) => <Name name={row.vulnerability} exploited={row.detail?.exploited} />,
        value: (row) => row.vulnerability,
      },
      rating: {
        id: "rating",
        label: t("rating"),
        width: 104,
        grow: 0,
        cell: (row) => <Rating rating={row.detail?.rating} />,
        value: (row) => row.detail?.rating,
      },
      risk: {
        id: "risk",
        label: t("risk"),
        width: 110,
        grow: 0,
        end: true,
        cell: (row) => <Risk risk={row.risk} />,
        value: (row) => row.risk,
      },
      fix: {
        id: "fix",
        label: t("fix"),
        width: 130,
        grow: 1,
        cell: (row) => <Fixes versions={row.detail?.fixed_in} />,
        value: (row) => row.detail?.fixed_in.join(" "),
      },
      firstSeen: {
        id: "first_seen",
        label: t("firstSeen"),
        width: 116,
        grow: 0,
        end: true,
        cell: (row) => <Ago time={row.first_seen} />,
        value: (row) => row.first_seen,
      },
    } satisfies Record<string, Column<Row>>;
    return columns;
  }, [t]);
}

/** Columns of vulnerabilities over all hosts. */
export function useVulnerabilityColumns(): readonly Column<Vulnerability>[] {
  const t = useText(text);
  const format = useFormat();
  const shared = useShared<Vulnerability>();
  return useMemo<readonly Column<Vulnerability>[]>(
    () => [
      shared.vulnerability,
      { ...shared.rating, sort: "rating" },
      { ...shared.risk, sort: "risk" },
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
      shared.fix,
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
      { ...shared.firstSeen, sort: "first_seen" },
    ],
    [t, format, shared],
  );
}

const installed = (row: HostVulnerability) => row.installed.map(({ name, version }) => `${name} ${version}`).join(", ");

/** Columns of findings of hosts: those of one host, or the hosts that have one vulnerability. */
export function useFindingColumns(of: "host" | "vulnerability"): readonly Column<HostVulnerability>[] {
  const t = useText(text);
  const shared = useShared<HostVulnerability>();
  return useMemo<readonly Column<HostVulnerability>[]>(() => {
    const first: Column<HostVulnerability>[] =
      of === "host"
        ? [shared.vulnerability, shared.rating, shared.risk]
        : [
            {
              id: "host",
              label: t("host"),
              width: 150,
              grow: 1,
              fixed: true,
              cell: (row) => (
                <Link
                  to="/hosts/$id"
                  params={{ id: row.host_id }}
                  search={{ tab: "vulnerabilities" }}
                  className="font-medium text-text no-underline hover:text-accent"
                >
                  {row.host}
                </Link>
              ),
              value: (row) => row.host,
            },
            shared.risk,
            {
              id: "exposure",
              label: t("exposure"),
              width: 104,
              grow: 0,
              cell: (row) => t(row.exposure as "internet"),
              value: (row) => row.exposure,
            },
          ];
    return [
      ...first,
      {
        id: "installed",
        label: t("installed"),
        width: 200,
        grow: 2,
        cell: (row) => <span className="mono truncate">{installed(row) || row.package}</span>,
        value: installed,
      },
      ...(of === "host" ? [shared.fix] : []),
      {
        id: "state",
        label: t("state"),
        width: 140,
        grow: 0,
        cell: (row) => <Standing state={row.state} restart={row.restart} />,
        value: (row) => row.state,
      },
      shared.firstSeen,
      {
        id: "due",
        label: t("due"),
        width: 130,
        grow: 0,
        end: true,
        cell: (row) => <Due due={row.due} overdue={row.overdue} />,
        value: (row) => row.due,
      },
    ];
  }, [t, of, shared]);
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
