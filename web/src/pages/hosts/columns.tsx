import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import type { Column } from "@/ui/grid/column";
import { Ago } from "@/ui/time";
import { agentOf, type Host, lostRows } from "./data";
import { Complaints, HostStatus, Labels, LastSeen, Lost, Skew } from "./parts";
import { text } from "./strings";

export function useHostColumns(): readonly Column<Host>[] {
  const t = useText(text);
  return useMemo<readonly Column<Host>[]>(
    () => [
      {
        id: "status",
        label: t("status"),
        width: 112,
        grow: 0,
        cell: (host) => <HostStatus status={host.status} />,
        value: (host) => host.status,
      },
      {
        id: "name",
        label: t("name"),
        width: 136,
        grow: 2,
        fixed: true,
        sort: "name",
        rises: true,
        cell: (host) => (
          <Link
            to="/hosts/$id"
            params={{ id: host.id }}
            className="font-medium text-text no-underline hover:text-accent"
          >
            {host.name}
          </Link>
        ),
        value: (host) => host.name,
      },
      {
        id: "os",
        label: t("os"),
        width: 136,
        grow: 1,
        sort: "os",
        rises: true,
        cell: (host) => <span className="text-text-2">{host.os || "–"}</span>,
        value: (host) => host.os,
      },
      {
        id: "kernel",
        label: t("kernel"),
        width: 150,
        hidden: true,
        cell: (host) => <span className="mono text-text-2">{host.kernel || "–"}</span>,
        value: (host) => host.kernel,
      },
      {
        id: "architecture",
        label: t("architecture"),
        width: 104,
        grow: 0,
        hidden: true,
        cell: (host) => host.architecture,
        value: (host) => host.architecture,
      },
      {
        id: "address",
        label: t("address"),
        width: 128,
        grow: 0,
        hidden: true,
        cell: (host) => <span className="mono">{host.address ?? "–"}</span>,
        value: (host) => host.address,
      },
      {
        id: "agent_version",
        label: t("agentVersion"),
        width: 104,
        grow: 0,
        sort: "version",
        rises: true,
        cell: (host) => <span className="num">{agentOf(host)}</span>,
        value: (host) => agentOf(host),
      },
      {
        id: "tags",
        label: t("tags"),
        width: 100,
        cell: (host) => <Labels labels={host.tags} by="tag" />,
        value: (host) => host.tags.join(" "),
      },
      {
        id: "groups",
        label: t("groups"),
        width: 100,
        cell: (host) => <Labels labels={host.groups} by="group" />,
        value: (host) => host.groups.join(" "),
      },
      {
        id: "lost",
        label: t("lost"),
        width: 68,
        grow: 0,
        end: true,
        cell: (host) => <Lost host={host} />,
        value: lostRows,
      },
      {
        id: "skew",
        label: t("skew"),
        width: 96,
        grow: 0,
        end: true,
        cell: (host) => <Skew host={host} />,
        value: (host) => host.health.clock_skew_us,
      },
      {
        id: "complaints",
        label: t("complaints"),
        width: 112,
        cell: (host) => <Complaints host={host} />,
        value: (host) => host.health.complaints.join("; "),
      },
      {
        id: "enrolled",
        label: t("enrolled"),
        width: 118,
        grow: 0,
        end: true,
        hidden: true,
        sort: "enrolled",
        rises: true,
        cell: (host) => <Ago time={host.enrolled} />,
        value: (host) => host.enrolled,
      },
      {
        id: "certificate",
        label: t("certificate"),
        width: 136,
        grow: 0,
        end: true,
        hidden: true,
        cell: (host) => <Ago time={host.certificate_not_after} />,
        value: (host) => host.certificate_not_after,
      },
      {
        id: "last_seen",
        label: t("lastSeen"),
        width: 112,
        grow: 0,
        end: true,
        sort: "last_seen",
        rises: true,
        cell: (host) => <LastSeen host={host} />,
        value: (host) => host.last_seen,
      },
    ],
    [t],
  );
}

export function HostCard({ host }: { host: Host }) {
  return (
    <div className="flex h-full flex-col justify-between">
      <div className="flex items-center justify-between gap-3">
        <Link to="/hosts/$id" params={{ id: host.id }} className="truncate font-medium text-text no-underline">
          {host.name}
        </Link>
        <HostStatus status={host.status} />
      </div>
      <div className="flex items-center justify-between gap-3 text-xs text-text-2">
        <span className="truncate">{host.os || host.platform}</span>
        <span className="shrink-0">
          <LastSeen host={host} />
        </span>
      </div>
      <div className="flex items-center justify-between gap-3 text-xs">
        <Labels labels={[...host.groups, ...host.tags]} by="tag" max={3} />
        {host.health.complaints.length > 0 ? <Complaints host={host} /> : lostRows(host) > 0 && <Lost host={host} />}
      </div>
    </div>
  );
}
