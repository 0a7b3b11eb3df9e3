import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { EntityLink } from "@/app/entity-link";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { AlertStatus, Badge, SeverityMark } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { Ago } from "@/ui/time";
import type { Alert } from "./data";
import { text } from "./strings";

export function AttackTags({ attack, max = 2 }: { attack: readonly string[]; max?: number }) {
  const techniques = attack.filter((tag) => /^(attack\.)?t\d{4}/i.test(tag));
  const shown = (techniques.length > 0 ? techniques : attack).slice(0, max);
  return (
    <span className="flex flex-wrap items-center gap-1">
      {shown.map((tag) => (
        <Badge key={tag} className="mono">
          {tag.replace(/^attack\./, "").toUpperCase()}
        </Badge>
      ))}
      {attack.length > shown.length && shown.length === max && techniques.length > max && (
        <span className="text-xs text-text-3">+{techniques.length - max}</span>
      )}
    </span>
  );
}

export function useAlertColumns(): readonly Column<Alert>[] {
  const t = useText(text);
  const format = useFormat();
  return useMemo<readonly Column<Alert>[]>(
    () => [
      {
        id: "severity",
        label: t("columnSeverity"),
        width: 104,
        grow: 0,
        sort: "severity",
        cell: (a) => <SeverityMark severity={a.severity} />,
        value: (a) => a.severity,
      },
      {
        id: "title",
        label: t("columnTitle"),
        width: 240,
        grow: 2,
        fixed: true,
        sort: "title",
        cell: (a) => (
          <Link to="/alerts/$id" params={{ id: a.id }} className="font-medium text-text no-underline hover:text-accent">
            {a.title}
          </Link>
        ),
        value: (a) => a.title,
      },
      {
        id: "entity",
        label: t("columnEntity"),
        width: 150,
        sort: "entity",
        cell: (a) => <EntityLink kind={a.entity_kind} value={a.entity} />,
        value: (a) => a.entity,
      },
      {
        id: "summary",
        label: t("columnSummary"),
        width: 260,
        grow: 3,
        hidden: true,
        cell: (a) => <span className="text-text-2">{a.summary}</span>,
        value: (a) => a.summary,
      },
      {
        id: "attack",
        label: t("columnAttack"),
        width: 130,
        grow: 0,
        cell: (a) => <AttackTags attack={a.attack} max={1} />,
        value: (a) => a.attack.join(" "),
      },
      {
        id: "count",
        label: t("columnCount"),
        width: 84,
        grow: 0,
        end: true,
        sort: "count",
        cell: (a) => format.count(a.count),
        value: (a) => a.count,
      },
      {
        id: "status",
        label: t("columnStatus"),
        width: 124,
        grow: 0,
        sort: "status",
        cell: (a) => <AlertStatus status={a.status} />,
        value: (a) => a.status,
      },
      {
        id: "source",
        label: t("columnSource"),
        width: 120,
        grow: 0,
        hidden: true,
        cell: (a) => <span className="text-text-2">{a.replay ?? (a.retro ? t("sourceRetro") : t("sourceLive"))}</span>,
        value: (a) => a.replay ?? (a.retro ? "retro" : "live"),
      },
      {
        id: "first_seen",
        label: t("columnFirst"),
        width: 116,
        grow: 0,
        hidden: true,
        end: true,
        cell: (a) => <Ago time={a.first_seen} />,
        value: (a) => a.first_seen,
      },
      {
        id: "last_seen",
        label: t("columnLast"),
        width: 116,
        grow: 0,
        end: true,
        sort: "activity",
        cell: (a) => (
          <span className="text-text-2">
            <Ago time={a.last_seen} />
          </span>
        ),
        value: (a) => a.last_seen,
      },
    ],
    [t, format],
  );
}

export function AlertCard({ alert }: { alert: Alert }) {
  return (
    <div className="flex h-full flex-col justify-between">
      <div className="flex items-center justify-between gap-3">
        <SeverityMark severity={alert.severity} />
        <span className="text-xs text-text-3">
          <Ago time={alert.last_seen} />
        </span>
      </div>
      <Link to="/alerts/$id" params={{ id: alert.id }} className="truncate font-medium text-text no-underline">
        {alert.title}
      </Link>
      <div className="flex items-center justify-between gap-3 text-xs text-text-2">
        <span className="mono truncate">{alert.entity}</span>
        <AlertStatus status={alert.status} />
      </div>
    </div>
  );
}
