import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { Badge, SeverityMark } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { Ago } from "@/ui/time";
import type { Incident } from "./data";
import { ClockText, IncidentStatus, Owner, runningClock } from "./parts";
import { text } from "./strings";

export function useIncidentColumns(): readonly Column<Incident>[] {
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
        grow: 4,
        fixed: true,
        sort: "title",
        cell: (i) => (
          <Link
            title={i.title}
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
        width: 112,
        grow: 0,
        cell: (i) => <IncidentStatus status={i.status} />,
        value: (i) => i.status,
      },
      {
        id: "owner",
        label: t("owner"),
        width: 120,
        grow: 1,
        cell: (i) => <Owner incident={i} />,
        value: (i) => i.owner?.name,
      },
      {
        id: "sla",
        label: t("due"),
        width: 112,
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
        width: 68,
        grow: 0,
        end: true,
        cell: (i) =>
          i.counts.tasks > 0 ? `${i.counts.tasks_done}/${i.counts.tasks}` : <span className="text-text-3">–</span>,
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
        id: "tags",
        label: t("tags"),
        width: 160,
        grow: 0,
        hidden: true,
        cell: (i) => (
          <span className="flex gap-1">
            {i.tags.map((tag) => (
              <Badge key={tag}>{tag}</Badge>
            ))}
          </span>
        ),
        value: (i) => i.tags.join(" "),
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

export function IncidentLine({ incident }: { incident: Incident }) {
  const clock = runningClock(incident);
  return (
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
      <div className="flex justify-between text-xs text-text-2">
        <Owner incident={incident} />
        {clock && <ClockText clock={clock} />}
      </div>
    </div>
  );
}
