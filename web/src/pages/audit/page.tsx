import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ScrollText, ShieldCheck } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useSlowText } from "@/app/slow-text";
import { catalogue } from "@/i18n/text";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { SearchBox } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { Dialog } from "@/ui/overlay";
import { Facts, PageHeader } from "@/ui/panel";
import { Empty, Failure, Loading } from "@/ui/state";
import { At } from "@/ui/time";

type Entry = Schema<"AuditView">;

const text = catalogue({
  title: ["Audit trail", "Prüfprotokoll"],
  lead: ["Who did what, in a chain that proves itself", "Wer was tat, in einer Kette, die sich selbst beweist"],
  search: ["Search action, subject or actor", "Aktion, Gegenstand oder Person suchen"],
  verify: ["Verify the chain", "Kette prüfen"],
  intact: ["The chain is intact", "Die Kette ist unversehrt"],
  broken: ["The chain is broken", "Die Kette ist gebrochen"],
  time: ["Time", "Zeit"],
  actor: ["Who", "Wer"],
  action: ["Action", "Aktion"],
  subject: ["Subject", "Gegenstand"],
  from: ["From", "Von"],
  request: ["Request", "Anfrage"],
  hash: ["Hash", "Hash"],
  before: ["Before", "Vorher"],
  after: ["After", "Nachher"],
  none: ["Nothing matches", "Nichts passt"],
  entry: ["Entry {seq}", "Eintrag {seq}"],
});

const PAGE = 200;

function auditQuery(q: string | undefined) {
  return {
    queryKey: ["audit", q ?? ""],
    queryFn: ({ pageParam }: { pageParam: string | null }) =>
      must(
        api.GET("/api/v1/audit", {
          params: {
            query: pageParam ? { cursor: pageParam, limit: PAGE } : { limit: PAGE, ...(q ? { search: q } : {}) },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? null,
  };
}

async function* auditPages(q: string | undefined): AsyncGenerator<Entry[]> {
  const { queryFn } = auditQuery(q);
  let cursor: string | null = null;
  do {
    const page: { items: Entry[]; next_cursor?: string | null } = await queryFn({ pageParam: cursor });
    yield page.items;
    cursor = page.next_cursor ?? null;
  } while (cursor);
}

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

export default function AuditPage() {
  const t = useText(text);
  const { q: asked } = useSearch({ from: "/inside/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const list = useInfiniteQuery(auditQuery(asked));
  const { busy, act } = useAction();
  const [shown, setShown] = useState<Entry | null>(null);
  const [verdict, setVerdict] = useState<Record<string, unknown> | null>(null);
  const [q, setQ] = useSlowText(
    asked ?? "",
    (next) => void navigate({ search: next ? { q: next } : {}, replace: true }),
  );
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
        cell: (e) => <span className="font-medium">{e.actor.name}</span>,
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
        cell: (e) => <span className="mono text-text-2">{e.ip ?? "–"}</span>,
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
  const verify = async () =>
    setVerdict((await act(() => must(api.GET("/api/v1/audit/verify")))) as Record<string, unknown> | null);
  const intact = verdict?.result === "intact";
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={t("title")} detail={t("lead")}>
        {verdict && (
          <span role="status">
            <Badge tone={intact ? "good" : "critical"}>
              <ShieldCheck aria-hidden size={13} /> {t(intact ? "intact" : "broken")}
            </Badge>
          </span>
        )}
        <Button icon={ShieldCheck} busy={busy} onClick={() => void verify()}>
          {t("verify")}
        </Button>
        <ExportMenu name="audit" columns={columns} pages={() => auditPages(asked)} />
        <ColumnsMenu all={columns} ids={ids} choose={choose} />
      </PageHeader>
      <div className="px-4 pb-3 md:px-6">
        <SearchBox
          label={t("search")}
          value={q}
          onChange={(event) => setQ(event.target.value)}
          className="w-full sm:w-80"
        />
      </div>
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
            cardHeight={72}
            card={(entry) => (
              <div className="flex h-full flex-col justify-between text-sm">
                <div className="flex justify-between gap-3">
                  <button type="button" className="mono truncate font-medium" onClick={() => setShown(entry)}>
                    {entry.action}
                  </button>
                  <span className="text-text-2">{entry.actor.name}</span>
                </div>
                <span className="text-xs text-text-3">
                  <At time={entry.time} />
                </span>
              </div>
            )}
            empty={<Empty icon={ScrollText} title={t("none")} />}
          />
        )}
      </div>
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
