import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, Radar } from "lucide-react";
import { useMemo, useRef } from "react";
import { useKeys } from "@/app/keys";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useSlowText } from "@/app/slow-text";
import { useFormat } from "@/i18n/format";
import { Badge, SeverityMark } from "@/ui/badge";
import { LinkButton } from "@/ui/button";
import { SearchBox, Select, Switch } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { PageHeader } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { chosenRules, type Rule, rulesQuery, useSwitchRule } from "./data";
import type { RulesSearch } from "./search";
import { text } from "./strings";

export default function RulesPage() {
  const t = useText(text);
  const format = useFormat();
  const state = useSearch({ from: "/inside/rules" });
  const navigate = useNavigate({ from: "/rules" });
  const write = useCan("rules:write");
  const query = useQuery(rulesQuery);
  const { mutate } = useSwitchRule();
  const searchBox = useRef<HTMLInputElement>(null);
  const change = (part: Partial<RulesSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const [q, setQ] = useSlowText(state.q ?? "", (next) => change({ q: next || undefined }));
  useKeys({ "/": () => searchBox.current?.focus() });
  const columns = useMemo<readonly Column<Rule>[]>(
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
  const { shown, ids, choose } = useColumns("rules", columns);
  const all = query.data?.items ?? [];
  const rows = useMemo(() => chosenRules(query.data?.items ?? [], state), [query.data, state]);
  return (
    <div className="flex h-full flex-col">
      <PageHeader
        title={t("title")}
        detail={
          query.data
            ? t("summary", { enabled: all.filter((rule) => rule.enabled).length, total: all.length })
            : "\u00a0"
        }
      >
        <ExportMenu
          name="rules"
          columns={columns}
          pages={async function* () {
            yield rows;
          }}
        />
        <ColumnsMenu all={columns} ids={ids} choose={choose} />
        {write && (
          <LinkButton look="primary" icon={Plus} to="/rules/$id" params={{ id: "new" }}>
            {t("newRule")}
          </LinkButton>
        )}
      </PageHeader>
      <div className="flex flex-wrap items-center gap-2 px-4 pb-3 md:px-6">
        <SearchBox
          ref={searchBox}
          label={t("search")}
          value={q}
          onChange={(event) => setQ(event.target.value)}
          className="w-full sm:w-72"
        />
        <Segmented
          label={t("state")}
          value={state.state ?? "all"}
          onChange={(next) => change({ state: next === "all" ? undefined : next })}
          tabs={(["all", "enabled", "disabled", "broken"] as const).map((value) => ({ value, label: t(value) }))}
        />
        <Select
          label={t("origin")}
          value={state.origin ?? "any"}
          onChange={(next) => change({ origin: next === "any" ? undefined : next })}
          options={[
            { value: "any" as const, label: t("anyOrigin") },
            { value: "shipped" as const, label: t("shipped") },
            { value: "custom" as const, label: t("custom") },
          ]}
        />
      </div>
      <div className="panel mx-3 mb-3 flex min-h-0 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">
        <Loaded query={query} rows={12}>
          {() => (
            <Grid
              label={t("title")}
              columns={shown}
              rows={rows}
              rowId={(rule) => rule.id}
              sort={state.sort ?? "-title"}
              onSort={(sort) => change({ sort })}
              onOpen={(rule) => void navigate({ to: "/rules/$id", params: { id: rule.id } })}
              card={(rule) => (
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
                  <Link
                    to="/rules/$id"
                    params={{ id: rule.id }}
                    className="truncate font-medium text-text no-underline"
                  >
                    {rule.title}
                  </Link>
                  <div className="num flex justify-between text-xs text-text-3">
                    <span>{t(rule.origin === "custom" ? "custom" : "shipped")}</span>
                    <span>
                      {t("columnFired")}: {format.count(rule.fired)}
                    </span>
                  </div>
                </div>
              )}
              empty={
                <Empty icon={Radar} title={t("none")}>
                  {t("noneHint")}
                </Empty>
              }
            />
          )}
        </Loaded>
      </div>
    </div>
  );
}
