import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { Badge, SeverityMark } from "@/ui/badge";
import { Switch } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ALERT_DAYS, type Rule, useSwitchRule } from "./data";
import { text } from "./strings";

export function useRuleColumns(alerts: ReadonlyMap<string, number> | undefined): readonly Column<Rule>[] {
  const t = useText(text);
  const format = useFormat();
  const write = useCan("rules:write");
  const { mutate } = useSwitchRule();
  return useMemo<readonly Column<Rule>[]>(
    () => [
      {
        id: "enabled",
        label: t("columnRuns"),
        width: 72,
        grow: 0,
        fixed: true,
        cell: (rule) => (
          <Switch
            label={`${t(rule.enabled ? "stop" : "run")}: ${rule.title}`}
            checked={rule.enabled}
            disabled={!write}
            onChange={(enabled) => mutate({ rule, enabled })}
          />
        ),
        value: (rule) => rule.enabled,
      },
      {
        id: "title",
        label: t("columnTitle"),
        width: 260,
        grow: 3,
        fixed: true,
        sort: "title",
        cell: (rule) => (
          <Link
            to="/rules/$id"
            params={{ id: rule.id }}
            className="font-medium text-text no-underline hover:text-accent"
          >
            {rule.title}
          </Link>
        ),
        value: (rule) => rule.title,
      },
      {
        id: "severity",
        label: t("columnSeverity"),
        width: 110,
        grow: 0,
        sort: "severity",
        cell: (rule) => <SeverityMark severity={rule.severity} />,
        value: (rule) => rule.severity,
      },
      {
        id: "origin",
        label: t("columnOrigin"),
        width: 110,
        grow: 0,
        cell: (rule) => (
          <Badge tone={rule.origin === "custom" ? "accent" : "neutral"}>
            {t(rule.origin === "custom" ? "custom" : "shipped")}
          </Badge>
        ),
        value: (rule) => rule.origin,
      },
      {
        id: "issues",
        label: t("columnIssues"),
        width: 110,
        grow: 0,
        cell: (rule) =>
          rule.issues.length > 0 ? (
            <Badge tone="critical">{t("issues", { n: rule.issues.length })}</Badge>
          ) : (
            <span className="text-text-3">–</span>
          ),
        value: (rule) => rule.issues.join("; "),
      },
      {
        id: "alerts",
        label: t("columnAlerts", { n: ALERT_DAYS }),
        width: 128,
        grow: 0,
        end: true,
        sort: "alerts",
        cell: (rule) => {
          const n = alerts?.get(rule.id);
          if (!n) return <span className="text-text-3">{alerts ? "–" : ""}</span>;
          return (
            <Link
              to="/alerts"
              search={{ rule: rule.id, status: "all" }}
              className="font-medium text-text hover:text-accent"
            >
              {format.count(n)}
            </Link>
          );
        },
        value: (rule) => alerts?.get(rule.id) ?? 0,
      },
      {
        id: "matched",
        label: t("columnMatched"),
        width: 112,
        grow: 0,
        end: true,
        hidden: true,
        sort: "matched",
        cell: (rule) => <MatchedRows rule={rule} />,
        value: (rule) => rule.matched,
      },
      {
        id: "fired",
        label: t("columnFired"),
        width: 128,
        grow: 0,
        end: true,
        sort: "fired",
        cell: (rule) => format.count(rule.fired),
        value: (rule) => rule.fired,
      },
      {
        id: "exceptions",
        label: t("columnExceptions"),
        width: 104,
        grow: 0,
        end: true,
        cell: (rule) => (rule.exceptions > 0 ? rule.exceptions : <span className="text-text-3">–</span>),
        value: (rule) => rule.exceptions,
      },
      {
        id: "version",
        label: t("columnVersion"),
        width: 84,
        grow: 0,
        end: true,
        hidden: true,
        cell: (rule) => rule.version,
        value: (rule) => rule.version,
      },
      {
        id: "id",
        label: "ID",
        width: 300,
        grow: 0,
        hidden: true,
        cell: (rule) => <span className="mono text-text-3">{rule.id}</span>,
        value: (rule) => rule.id,
      },
    ],
    [t, format, write, mutate, alerts],
  );
}

/** Rows that a rule matched by itself. A rule that counts the rows of others fires without one of its own. */
export function MatchedRows({ rule }: { rule: Rule }) {
  const t = useText(text);
  const format = useFormat();
  if (rule.matched > 0 || rule.fired === 0) return <span className="num">{format.number(rule.matched)}</span>;
  return (
    <span className="text-text-3" title={t("countsOthers")}>
      –
    </span>
  );
}

export function RuleCard({ rule, alerts }: { rule: Rule; alerts: number | undefined }) {
  const t = useText(text);
  const format = useFormat();
  const write = useCan("rules:write");
  const { mutate } = useSwitchRule();
  return (
    <div className="flex h-full flex-col justify-between">
      <div className="flex items-center justify-between">
        <SeverityMark severity={rule.severity} />
        <Switch
          label={`${t(rule.enabled ? "stop" : "run")}: ${rule.title}`}
          checked={rule.enabled}
          disabled={!write}
          onChange={(enabled) => mutate({ rule, enabled })}
        />
      </div>
      <Link to="/rules/$id" params={{ id: rule.id }} className="truncate font-medium text-text no-underline">
        {rule.title}
      </Link>
      <div className="num flex justify-between text-xs text-text-3">
        <span>{t(rule.origin === "custom" ? "custom" : "shipped")}</span>
        <span>
          {t("columnAlerts", { n: ALERT_DAYS })}: {alerts === undefined ? "–" : format.count(alerts)}
        </span>
      </div>
    </div>
  );
}
