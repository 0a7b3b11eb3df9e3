import { type InfiniteData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Radio, ScrollText, ShieldCheck } from "lucide-react";
import { useCallback, useMemo, useRef, useState } from "react";
import { useText } from "@/app/preferences";
import { RANGES, rangeText } from "@/app/range";
import { useSlowText } from "@/app/slow-text";
import { Views } from "@/saved/views";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Input, Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { FileMenu, type Making } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { ListSearch } from "@/ui/list";
import { Named } from "@/ui/masked";
import { Dialog } from "@/ui/overlay";
import { Facts, PageHeader } from "@/ui/panel";
import { Empty, Failure, Loading } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { At } from "@/ui/time";
import { auditQuery, type Entry, exportAudit, type TrailPage } from "./data";
import { useAuditLive } from "./live";
import { ACTOR_KINDS, type AuditState, auditSearch } from "./search";
import { text } from "./strings";
import { Verification } from "./verify";

/** Filtered lists are loaded again at most this often while entries come in. */
const REFRESH_MS = 2_000;
/** How long a new row stands out. */
const FRESH_MS = 2_000;

function Json({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span className="text-text-3">–</span>;
  return (
    <pre
      tabIndex={0}
      className="mono m-0 max-h-64 overflow-auto whitespace-pre-wrap break-all rounded-m border border-line bg-sunken p-3 text-xs"
    >
      {JSON.stringify(value, null, 2)}
    </pre>
  );
}

function Filters({ state }: { state: AuditState }) {
  const t = useText(text);
  const r = useText(rangeText);
  const navigate = useNavigate({ from: "/audit" });
  const change = (part: Partial<AuditState>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const [action, setAction] = useSlowText(state.action ?? "", (next) => change({ action: next || undefined }));
  return (
    <div className="filter-row px-4 pb-3 md:px-6">
      <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
      <Input
        aria-label={t("action")}
        placeholder={t("actionHint")}
        value={action}
        onChange={(event) => setAction(event.target.value)}
        className="mono !w-64"
      />
      <Select<NonNullable<AuditState["kind"]> | "all">
        label={t("who")}
        prefix={t("who")}
        value={state.kind ?? "all"}
        onChange={(kind) => change({ kind: kind === "all" ? undefined : kind })}
        options={[{ value: "all", label: t("anybody") }, ...ACTOR_KINDS.map((value) => ({ value, label: t(value) }))]}
      />
      <Select<NonNullable<AuditState["range"]> | "all">
        label={t("period")}
        value={state.range ?? "all"}
        onChange={(range) => change({ range: range === "all" ? undefined : range })}
        options={[{ value: "all", label: t("always") }, ...RANGES.map((value) => ({ value, label: r(value) }))]}
      />
    </div>
  );
}

/** Puts live entries on top where nothing is filtered, and loads a filtered list again. */
function useLiveRows(state: AuditState) {
  const client = useQueryClient();
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const filtered = Object.keys(state).length > 0;
  const live = useAuditLive((entry) => {
    const key = auditQuery(state).queryKey;
    if (filtered) {
      timer.current ??= setTimeout(() => {
        timer.current = null;
        void client.invalidateQueries({ queryKey: key });
      }, REFRESH_MS);
      return;
    }
    client.setQueryData<InfiniteData<TrailPage>>(key, (data) => {
      const [first, ...rest] = data?.pages ?? [];
      if (!data || !first || first.items.some((item) => item.seq >= entry.seq)) return data;
      return { ...data, pages: [{ ...first, items: [entry, ...first.items] }, ...rest] };
    });
    const id = String(entry.seq);
    setFresh((before) => new Set(before).add(id));
    setTimeout(() => setFresh((before) => new Set([...before].filter((other) => other !== id))), FRESH_MS);
  });
  return { live, fresh };
}

export default function AuditPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const list = useInfiniteQuery(auditQuery(state));
  const { live, fresh } = useLiveRows(state);
  const u = useText(ui);
  const [shown, setShown] = useState<Entry | null>(null);
  const [verifying, setVerifying] = useState(false);
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const columns = useMemo<readonly Column<Entry>[]>(
    () => [
      {
        id: "seq",
        label: "#",
        width: 72,
        grow: 0,
        end: true,
        cell: (e) => <span className="text-text-3">{e.seq}</span>,
        value: (e) => e.seq,
      },
      { id: "time", label: t("time"), width: 176, grow: 0, cell: (e) => <At time={e.time} />, value: (e) => e.time },
      {
        id: "actor",
        label: t("actor"),
        width: 140,
        grow: 0,
        cell: (e) => (
          <span className={e.actor.name ? "font-medium" : "text-text-3"}>
            {e.actor.name ? <Named value={e.actor.name} /> : "–"}
          </span>
        ),
        value: (e) => e.actor.name,
      },
      {
        id: "action",
        label: t("action"),
        width: 180,
        fixed: true,
        cell: (e) => (
          <button type="button" className="mono truncate text-left hover:text-accent" onClick={() => setShown(e)}>
            {e.action}
          </button>
        ),
        value: (e) => e.action,
      },
      {
        id: "subject",
        label: t("subject"),
        width: 220,
        grow: 2,
        cell: (e) => (
          <span className="text-text-2">
            {e.subject} <span className="mono text-text-3">{e.subject_id}</span>
          </span>
        ),
        value: (e) => `${e.subject} ${e.subject_id}`,
      },
      {
        id: "ip",
        label: t("from"),
        width: 140,
        grow: 0,
        cell: (e) => <span className="mono text-text-2">{e.ip ? <Named value={e.ip} /> : "–"}</span>,
        value: (e) => e.ip,
      },
      {
        id: "hash",
        label: t("hash"),
        width: 160,
        grow: 0,
        hidden: true,
        cell: (e) => <span className="mono text-text-3">{e.hash}</span>,
        value: (e) => e.hash,
      },
    ],
    [t],
  );
  const { shown: visible, ids, choose } = useColumns("audit", columns);
  const { fetchNextPage, hasNextPage } = list;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  const making = (label: string, format: "csv" | "jsonl"): Making => ({
    label,
    run: async (progress, signal) => u("exported", { rows: await exportAudit(state, format, progress, signal) }),
  });
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={t("title")} detail={t("lead")}>
        <span
          role="status"
          className={classes("flex items-center gap-1.5 text-xs", live === "live" ? "text-good" : "text-text-3")}
        >
          <Radio aria-hidden size={14} /> {t(live === "live" ? "live" : "notLive")}
        </span>
        <Button icon={ShieldCheck} onClick={() => setVerifying(true)}>
          {t("verify")}
        </Button>
        <Views
          page="audit"
          search={state}
          ids={ids}
          choose={choose}
          onOpen={(view) => void navigate({ search: auditSearch(view), replace: true })}
        />
        <FileMenu items={[making(t("csv"), "csv"), making(t("jsonl"), "jsonl")]} />
        <ColumnsMenu all={columns} ids={ids} choose={choose} />
      </PageHeader>
      <Filters state={state} />
      <div className="panel mx-3 mb-3 flex min-h-0 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">
        {list.error && !list.data ? (
          <Failure error={list.error} onRetry={() => void list.refetch()} />
        ) : !list.data ? (
          <Loading rows={12} />
        ) : (
          <Grid
            label={t("title")}
            columns={visible}
            rows={rows}
            rowId={(entry) => String(entry.seq)}
            onMore={hasNextPage ? more : undefined}
            loadingMore={list.isFetchingNextPage}
            onOpen={setShown}
            fresh={fresh}
            cardHeight={72}
            card={(entry) => (
              <div className="flex h-full flex-col justify-between text-sm">
                <div className="flex justify-between gap-3">
                  <button type="button" className="mono truncate font-medium" onClick={() => setShown(entry)}>
                    {entry.action}
                  </button>
                  <span className="text-text-2">{entry.actor.name}</span>
                </div>
                <div className="flex justify-between gap-3 text-xs text-text-3">
                  <span className="min-w-0 truncate">
                    {entry.subject} <span className="mono">{entry.subject_id}</span>
                  </span>
                  <At time={entry.time} />
                </div>
              </div>
            )}
            empty={<Empty icon={ScrollText} title={t("none")} />}
          />
        )}
      </div>
      <Dialog open={verifying} onClose={() => setVerifying(false)} title={t("verify")}>
        {verifying && <Verification />}
      </Dialog>
      <Dialog
        open={shown !== null}
        onClose={() => setShown(null)}
        title={t("entry", { seq: shown?.seq ?? 0 })}
        description={shown?.action}
        sheet
      >
        {shown && (
          <div className="flex flex-col gap-5">
            <Facts
              items={[
                [t("time"), <At key="t" time={shown.time} />],
                [t("actor"), `${shown.actor.name} (${shown.actor.kind})`],
                [t("subject"), `${shown.subject} ${shown.subject_id}`],
                [t("from"), shown.ip],
                [
                  t("request"),
                  shown.request_id && (
                    <span key="r" className="mono break-all">
                      {shown.request_id}
                    </span>
                  ),
                ],
                [
                  t("hash"),
                  <span key="h" className="mono break-all text-text-3">
                    {shown.hash}
                  </span>,
                ],
              ]}
            />
            <section>
              <h3 className="m-0 mb-2 text-sm font-semibold">{t("before")}</h3>
              <Json value={shown.before} />
            </section>
            <section>
              <h3 className="m-0 mb-2 text-sm font-semibold">{t("after")}</h3>
              <Json value={shown.after} />
            </section>
          </div>
        )}
      </Dialog>
    </div>
  );
}
