import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { CalendarClock, Play } from "lucide-react";
import { useCallback, useEffect, useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import type { PlainKey } from "@/i18n/text";
import { Button } from "@/ui/button";
import { Editor } from "@/ui/editor/editor";
import { Examples } from "@/ui/examples";
import { Field, Input, Select } from "@/ui/form";
import { PageHeader } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { liveTablesQuery, targetsOf } from "./data";
import { History } from "./history";
import { liveMeanings, liveSql, starter } from "./language";
import { Result } from "./result";
import { Schedule } from "./schedule";
import type { LiveQuerySearch } from "./search";
import { text } from "./strings";
import { Tables } from "./tables";
import { ChooseTargets, useTargetCount } from "./targets";

/** Questions to start from. */
const EXAMPLES: readonly { label: PlainKey<typeof text>; sql: string }[] = [
  { label: "exampleDeleted", sql: "SELECT pid, name, path, cmdline\nFROM processes\nWHERE on_disk = 0" },
  {
    label: "examplePorts",
    sql: "SELECT DISTINCT p.name, l.port, l.protocol, l.address\nFROM listening_ports l JOIN processes p USING (pid)\nWHERE l.port > 0\nORDER BY l.port",
  },
  {
    label: "exampleKeys",
    sql: "SELECT u.username, k.algorithm, k.comment, k.key_file\nFROM users u JOIN authorized_keys k USING (uid)",
  },
  { label: "exampleSetuid", sql: "SELECT path, username, permissions\nFROM suid_bin" },
  { label: "exampleHashes", sql: "SELECT path, sha256\nFROM hash\nWHERE path LIKE '/usr/local/bin/%'" },
  { label: "exampleLogins", sql: "SELECT user, tty, host, time\nFROM logged_in_users" },
];

const WAITS = [60, 300, 3_600, 86_400] as const;
const TIMEOUTS = [10, 30, 120, 600] as const;
const ROWS = [100, 1_000, 10_000, 100_000] as const;

/** Asks hosts by SQL, shows what they answer while they do, and what was asked before. */
export default function LiveQueryPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/live-query" });
  const navigate = useNavigate({ from: "/live-query" });
  const change = useCallback(
    (part: Partial<LiveQuerySearch>, replace = true) =>
      void navigate({ search: (before) => ({ ...before, ...part }), replace }),
    [navigate],
  );
  return (
    <div className="flex min-h-full flex-col">
      <PageHeader title={t("title")} detail={t("lead")}>
        <Segmented
          label={t("view")}
          value={state.view ?? "ask"}
          onChange={(next) => change({ view: next === "history" ? next : undefined }, false)}
          tabs={[
            { value: "ask" as const, label: t("ask") },
            { value: "history" as const, label: t("history") },
          ]}
        />
      </PageHeader>
      {state.view === "history" ? (
        <div className="panel mx-3 mb-3 flex h-[calc(100dvh-180px)] flex-col overflow-hidden md:mx-6 md:mb-6">
          <History
            onOpen={({ id, sql }) =>
              change({ id, sql, view: undefined, part: undefined, of: undefined, state: undefined }, false)
            }
          />
        </div>
      ) : (
        <Ask state={state} change={change} />
      )}
    </div>
  );
}

interface Asking {
  state: LiveQuerySearch;
  change: (part: Partial<LiveQuerySearch>, replace?: boolean) => void;
}

function Ask({ state, change }: Asking) {
  const t = useText(text);
  const writes = useCan("policies:write");
  const refresh = useFreshen("live-queries");
  const { busy, act } = useAction();
  const tables = useQuery(liveTablesQuery);
  const [sql, setSql] = useState(state.sql ?? EXAMPLES[0]?.sql ?? "");
  const [reason, setReason] = useState("");
  const [limits, setLimits] = useState({ wait_s: 300, timeout_s: 30, rows_max: 10_000 });
  const [scheduling, setScheduling] = useState(false);
  const count = useTargetCount(state);
  const syntax = useMemo(() => liveSql(tables.data ?? []), [tables.data]);
  const meanings = useMemo(() => liveMeanings(sql, tables.data ?? []), [sql, tables.data]);
  // Whoever goes back, or opens an older query, sees its statement.
  useEffect(() => {
    if (state.sql !== undefined) setSql(state.sql);
  }, [state.sql]);
  const run = async () => {
    if (sql.trim() === "" || !count || busy) return;
    const made = await act(() => {
      const body = { sql, hosts: targetsOf(state), reason, ...limits };
      return must(api.POST("/api/v1/live-queries", { body: body as never }));
    });
    if (!made) return;
    refresh();
    change({ id: made.id, sql, part: undefined, of: undefined, state: undefined }, false);
  };
  return (
    <div className="flex flex-col gap-4 px-4 pb-6 md:px-6">
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_340px]">
        <div className="flex min-w-0 flex-col gap-3">
          <Loaded query={tables} rows={5}>
            {() => (
              <Editor
                value={sql}
                onChange={setSql}
                onRun={() => void run()}
                label={t("sql")}
                language={syntax}
                meanings={meanings}
                className="h-44 min-w-0 overflow-hidden rounded-m border border-line-strong focus-within:border-accent"
              />
            )}
          </Loaded>
          <fieldset aria-label={t("whom")} className="filter-row m-0 border-0 p-0">
            <ChooseTargets state={state} onChange={change} />
          </fieldset>
          <div className="flex flex-wrap items-end gap-3">
            <div className="min-w-0 flex-1 basis-60">
              <Field label={t("reason")} hint={t("reasonHint")}>
                {(ids) => <Input {...ids} value={reason} onChange={(event) => setReason(event.target.value)} />}
              </Field>
            </div>
          </div>
          <Limits limits={limits} onChange={setLimits} />
          <div className="flex flex-wrap items-center gap-2">
            <Button
              look="primary"
              icon={Play}
              busy={busy}
              disabled={!count || sql.trim() === ""}
              onClick={() => void run()}
            >
              {count === 0 ? t("runNone") : t("run", { n: count ?? 0 })}
            </Button>
            {writes && (
              <Button icon={CalendarClock} disabled={sql.trim() === ""} onClick={() => setScheduling(true)}>
                {t("schedule")}
              </Button>
            )}
          </div>
        </div>
        <Tables
          tables={tables.data ?? []}
          chosen={state.table}
          onChoose={(table) => change({ table })}
          onInsert={(table) => setSql(starter(table))}
        />
      </div>
      {state.id ? (
        <Result id={state.id} state={state} onChange={change} />
      ) : (
        <Examples
          title={t("examples")}
          examples={EXAMPLES.map(({ label, sql }) => ({ label: t(label), sql }))}
          onExample={setSql}
        />
      )}
      <Schedule open={scheduling} sql={sql} onClose={() => setScheduling(false)} />
    </div>
  );
}

type Limit = { wait_s: number; timeout_s: number; rows_max: number };

function Limits({ limits, onChange }: { limits: Limit; onChange: (limits: Limit) => void }) {
  const t = useText(text);
  const span = (seconds: number) =>
    seconds >= 3_600
      ? t("hours", { n: seconds / 3_600 })
      : seconds >= 60
        ? t("minutes", { n: seconds / 60 })
        : t("seconds", { n: seconds });
  const choice = (name: keyof Limit, label: string, values: readonly number[], shown: (value: number) => string) => (
    <Field label={label}>
      {(ids) => (
        <Select
          {...ids}
          label={label}
          value={String(limits[name])}
          onChange={(value) => onChange({ ...limits, [name]: Number(value) })}
          options={values.map((value) => ({ value: String(value), label: shown(value) }))}
        />
      )}
    </Field>
  );
  return (
    <details>
      <summary className="cursor-pointer text-sm text-text-2">{t("limits")}</summary>
      <div className="mt-2 grid gap-4 sm:grid-cols-3">
        {choice("wait_s", t("wait"), WAITS, span)}
        {choice("timeout_s", t("timeout"), TIMEOUTS, span)}
        {choice("rows_max", t("rowsMax"), ROWS, (rows) => rows.toLocaleString())}
      </div>
    </details>
  );
}
