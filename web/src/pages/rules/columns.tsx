import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { Badge, SeverityMark } from "@/ui/badge";
import { Switch } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { type Rule, useSwitchRule } from "./data";
import { text } from "./strings";

export function useRuleColumns(): readonly Column<Rule>[] {
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
        id: "matched",
        label: t("columnMatched"),
        width: 112,
        grow: 0,
        end: true,
        sort: "matched",
        cell: (rule) => format.count(rule.matched),
        value: (rule) => rule.matched,
      },
      {
        id: "fired",
        label: t("columnFired"),
        width: 96,
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
    [t, format, write, mutate],
  );
}

export function RuleCard({ rule }: { rule: Rule }) {
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
          {t("columnFired")}: {format.count(rule.fired)}
        </span>
      </div>
    </div>
  );
}
