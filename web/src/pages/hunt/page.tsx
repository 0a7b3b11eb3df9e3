import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Play, Radar } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { RANGES, rangeText } from "@/app/range";
import { useCan } from "@/app/session";
import { Hunts, type Question } from "@/saved/hunts";
import { Button } from "@/ui/button";
import { Editor } from "@/ui/editor/editor";
import { columnMeanings } from "@/ui/editor/explain";
import { filterCompletion, filterLanguage } from "@/ui/editor/filter-language";
import { sqlLanguage } from "@/ui/editor/sql";
import { filterValue, firstOf, valueCompletion } from "@/ui/editor/values";
import { Select } from "@/ui/form";
import { PageHeader } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Builder } from "./builder";
import { type Run, stretch, tablesQuery } from "./data";
import { literal, ruleFrom, withCondition } from "./filter";
import { FilterHunt } from "./filter-hunt";
import { EXAMPLES } from "./sample";
import type { HuntSearch } from "./search";
import { SqlResult } from "./sql-hunt";
import { text } from "./strings";
import { askValues } from "./values";

const ROWS_MAX = 100_000;

export default function HuntPage() {
  const t = useText(text);
  const r = useText(rangeText);
  const state = useSearch({ from: "/inside/hunt" });
  const navigate = useNavigate({ from: "/hunt" });
  const maySql = useCan("flows:sql");
  const mayWrite = useCan("rules:write");
  const client = useQueryClient();
  const tables = useQuery(tablesQuery);
  const mode = state.mode ?? "filter";
  const [filter, setFilter] = useState(state.filter ?? "");
  const [sql, setSql] = useState(state.sql ?? EXAMPLES[0]?.sql ?? "");
  const [at, setAt] = useState(() => Date.now());
  const change = useCallback(
    (part: Partial<HuntSearch>) => void navigate({ search: (before) => ({ ...before, ...part }) }),
    [navigate],
  );
  const flows = tables.data?.find((table) => table.name === "flows");
  const { filter: asked = "", range, from, to } = state;
  const ask = useMemo(
    () => askValues(client, flows, { range, from, to }, (n) => t("flowCount", { n })),
    [client, flows, range, from, to, t],
  );
  const complete = useMemo(
    () => firstOf(valueCompletion(filterValue, literal, ask), filterCompletion(flows)),
    [flows, ask],
  );
  const meanings = useMemo(() => columnMeanings(tables.data ?? []), [tables.data]);
  const sqlSyntax = useMemo(() => sqlLanguage(tables.data ?? [], ask), [tables.data, ask]);
  // The stretch is fixed while nothing is run again, so that pages and pictures agree.
  const run = useMemo<Run>(
    () => ({ filter: asked, ...stretch({ range, from, to }), at }),
    [asked, range, from, to, at],
  );
  const query = useMutation({
    mutationFn: (text: string) =>
      must(api.POST("/api/v1/query", { body: { sql: text, limit: ROWS_MAX, timeout_seconds: 120 } })),
  });
  const runFilter = () => {
    setAt(Date.now());
    change({ filter: filter.trim() || undefined });
  };
  const runSql = (text = sql) => {
    change({ sql: text });
    query.mutate(text);
  };
  const onCondition = useCallback(
    (added: string) => {
      const next = withCondition(state.filter ?? "", added);
      setFilter(next);
      change({ filter: next });
    },
    [state.filter, change],
  );
  const onBrush = useCallback(
    (start: number, end: number) => change({ from: new Date(start).toISOString(), to: new Date(end).toISOString() }),
    [change],
  );
  const onOpen = useCallback(
    (value: string) => void navigate({ to: "/entities/$kind/$value", params: { kind: "ip", value } }),
    [navigate],
  );
  const onSaved = (question: Question) => {
    const range = RANGES.find((known) => known === question.range);
    const stretch = { range, from: undefined, to: undefined };
    setAt(Date.now());
    if (question.mode === "sql" && maySql) {
      setSql(question.text);
      change({ mode: "sql", sql: question.text, ...stretch });
      query.mutate(question.text);
    } else {
      setFilter(question.text);
      change({ mode: undefined, filter: question.text || undefined, ...stretch });
    }
  };
  const question: Question = { mode, text: mode === "sql" ? sql : filter, range: range ?? "24h" };
  const box = "min-w-0 flex-1 overflow-hidden rounded-m border border-line-strong focus-within:border-accent";
  return (
    <div>
      <PageHeader title={t("title")} detail={t("lead")}>
        <Hunts question={question} onOpen={onSaved} />
        <Segmented
          label={t("mode")}
          value={mode}
          onChange={(next) => change({ mode: next === "filter" ? undefined : next })}
          tabs={[
            { value: "filter", label: t("filter") },
            ...(maySql ? [{ value: "sql" as const, label: t("sql") }] : []),
          ]}
        />
        {mode === "filter" && (
          <Select
            label={r("range")}
            value={state.from ? "chosen" : (state.range ?? "24h")}
            onChange={(next) => {
              setAt(Date.now());
              change({ range: next === "chosen" ? undefined : next, from: undefined, to: undefined });
            }}
            options={[
              ...RANGES.map((value) => ({ value, label: r(value) })),
              ...(state.from ? [{ value: "chosen" as const, label: r("chosen") }] : []),
            ]}
          />
        )}
      </PageHeader>
      {mode === "filter" ? (
        <>
          <div className="flex flex-wrap gap-2 px-4 pb-4 md:px-6">
            <Editor
              value={filter}
              onChange={setFilter}
              onRun={runFilter}
              label={t("filterLabel")}
              hint={t("filterHint")}
              language={filterLanguage}
              complete={complete}
              meanings={meanings}
              single
              className={`${box} h-9 basis-72`}
            />
            <Button look="primary" icon={Play} onClick={runFilter} className="!h-9">
              {t("run")}
            </Button>
            <Builder table={flows} state={state} onAdd={onCondition} />
            {mayWrite && state.filter && (
              <Button
                icon={Radar}
                onClick={() =>
                  void navigate({
                    to: "/rules/$id",
                    params: { id: "new" },
                    search: { source: ruleFrom(state.filter ?? "", crypto.randomUUID()) },
                  })
                }
              >
                {t("makeRule")}
              </Button>
            )}
          </div>
          <Loaded query={tables}>
            {() =>
              flows && (
                <FilterHunt
                  run={run}
                  table={flows}
                  top={state.top ?? "src_ip"}
                  zoomed={state.from !== undefined}
                  onTop={(top) => change({ top })}
                  onCondition={onCondition}
                  onBrush={onBrush}
                  onReset={() => change({ from: undefined, to: undefined })}
                  onOpen={onOpen}
                />
              )
            }
          </Loaded>
        </>
      ) : (
        <div className="flex flex-col gap-4 px-4 pb-6 md:px-6">
          <div className="flex flex-wrap items-start gap-2">
            <Loaded query={tables} rows={4}>
              {() => (
                <Editor
                  value={sql}
                  onChange={setSql}
                  onRun={() => runSql()}
                  label={t("sqlLabel")}
                  language={sqlSyntax}
                  meanings={meanings}
                  className={`${box} h-40 basis-72`}
                />
              )}
            </Loaded>
            <Button look="primary" icon={Play} busy={query.isPending} onClick={() => runSql()} className="!h-9">
              {t("run")}
            </Button>
          </div>
          <SqlResult
            answer={query.data}
            error={query.error}
            busy={query.isPending}
            onOpen={onOpen}
            onExample={(text) => {
              setSql(text);
              runSql(text);
            }}
          />
        </div>
      )}
    </div>
  );
}
