import { useQuery } from "@tanstack/react-query";
import { CircleX, DatabaseZap, FilterX, TriangleAlert, X } from "lucide-react";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useLive } from "@/live/live";
import { endedHosts } from "@/pages/commands/data";
import { Progress } from "@/pages/commands/parts";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { Confirm } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Empty, Failure, Loaded, Loading } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { Answer, type AnswerRow, type AnswerState, answerPages, ROWS_SHOWN_MAX, rowLoader } from "./answer";
import { type LiveQuery, liveQueryQuery } from "./data";
import { LiveHosts } from "./live-hosts";
import { RowSheet } from "./row";
import type { LiveQuerySearch } from "./search";
import { text } from "./strings";

/** How often rows are looked for while a query runs, should the live stream be away. */
const LOOK_MS = 5_000;
/** Rows that one page of an export has. */
const EXPORT_PAGE = 10_000;

interface Props {
  id: string;
  state: LiveQuerySearch;
  onChange: (part: Partial<LiveQuerySearch>) => void;
}

/** What hosts answer to a query, while they do. */
export function Result(props: Props) {
  const query = useQuery(liveQueryQuery(props.id));
  return (
    <Panel flush>
      <Loaded query={query} rows={6}>
        {(found) => <Known key={props.id} query={found} {...props} />}
      </Loaded>
    </Panel>
  );
}

/** The rows of a query, of one host where one is named, as they come in. */
function useAnswer(query: LiveQuery, host: string | undefined, enabled: boolean): [AnswerState, Answer] {
  const { id, ended } = query;
  const answer = useMemo(() => new Answer(rowLoader(id, host)), [id, host]);
  useEffect(() => {
    if (!enabled) return;
    answer.start();
    return () => answer.stop();
  }, [answer, enabled]);
  useLive((message) => {
    const about = "query" in message ? message.query : "id" in message ? message.id : undefined;
    if (message.type === "resync" || (message.type === "change" && about === id)) answer.news();
  });
  useEffect(() => {
    answer.news();
    if (ended) return;
    const timer = setInterval(answer.news, LOOK_MS);
    return () => clearInterval(timer);
  }, [answer, ended]);
  return [useSyncExternalStore(answer.subscribe, answer.get), answer];
}

function Known({ query, state, onChange }: Props & { query: LiveQuery }) {
  const t = useText(text);
  const sees = useCan("personal:read");
  const part = state.part ?? "rows";
  const [answer, reader] = useAnswer(query, state.of, sees);
  const short = (["failed", "refused", "expired"] as const).reduce((sum, one) => sum + (query.states[one] ?? 0), 0);
  return (
    <>
      <header className="flex flex-col gap-3 px-4 py-3">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
          <h2 className="m-0 text-sm font-semibold">{t("answer")}</h2>
          <Badge tone={query.ended ? "neutral" : "low"}>{t(query.ended ? "ended" : "running")}</Badge>
          {query.cancelled && <Badge tone="medium">{t("cancelled")}</Badge>}
          <span role="status" className="num text-sm">
            {t("rowsSoFar", { rows: query.rows, done: endedHosts(query), hosts: query.hosts })}
          </span>
          <span className="text-xs text-text-3">
            {query.author} · <Ago time={query.created} />
            {query.reason && ` · ${query.reason}`}
          </span>
          <span className="ml-auto flex items-center gap-2">
            <CallOff query={query} />
            <IconButton
              label={t("close")}
              icon={X}
              onClick={() => onChange({ id: undefined, part: undefined, of: undefined, state: undefined })}
            />
          </span>
        </div>
        <Progress command={query} words />
        <code className="mono line-clamp-2 whitespace-pre-wrap text-xs text-text-2">{query.sql}</code>
        <div className="flex flex-wrap items-center gap-2">
          <Segmented
            label={t("part")}
            value={part}
            onChange={(next) => onChange({ part: next === "hosts" ? next : undefined })}
            tabs={[
              { value: "rows" as const, label: t("rows") },
              { value: "hosts" as const, label: t("hosts") },
            ]}
          />
          {state.of && part === "rows" && (
            <Button look="quiet" icon={FilterX} onClick={() => onChange({ of: undefined })}>
              {t("allHosts")}
            </Button>
          )}
          {short > 0 && part === "rows" && (
            <Button look="quiet" icon={TriangleAlert} onClick={() => onChange({ part: "hosts" })}>
              {t("trouble", { n: short })}
            </Button>
          )}
          {answer.cut && part === "rows" && <Badge tone="medium">{t("cut", { rows: ROWS_SHOWN_MAX })}</Badge>}
        </div>
      </header>
      <div className="flex h-[max(380px,calc(100dvh-460px))] min-h-0 flex-col border-t border-line">
        {part === "hosts" ? (
          <LiveHosts query={query} state={state.state} onChange={onChange} />
        ) : sees ? (
          <Rows query={query} answer={answer} reader={reader} host={state.of} />
        ) : (
          <Empty icon={DatabaseZap} title={t("rows")}>
            {t("noPersonal")}
          </Empty>
        )}
      </div>
    </>
  );
}

function useAnswerColumns(answer: AnswerState): readonly Column<AnswerRow>[] {
  const t = useText(text);
  const { columns } = answer;
  return useMemo(
    () => [
      {
        id: "host_name",
        label: t("host"),
        width: 130,
        fixed: true,
        cell: (row) => <span className="font-medium">{row.host_name}</span>,
        value: (row) => row.host_name,
      },
      ...columns.map<Column<AnswerRow>>(({ id, width, end }) => ({
        // A column may be called as that of the host's name is.
        id: `=${id}`,
        label: id,
        width,
        end,
        cell: (row) => <Value value={row.values[id]} />,
        value: (row) => row.values[id],
      })),
    ],
    [columns, t],
  );
}

function Value({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span className="text-text-3">–</span>;
  return typeof value === "number" ? String(value) : <span className="mono text-xs">{String(value)}</span>;
}

function Rows({
  query,
  answer,
  reader,
  host,
}: {
  query: LiveQuery;
  answer: AnswerState;
  reader: Answer;
  host: string | undefined;
}) {
  const t = useText(text);
  const columns = useAnswerColumns(answer);
  // Every statement has columns of its own: what is hidden is not kept.
  const [chosen, choose] = useState<string[] | null>(null);
  const ids = useMemo(() => new Set(chosen ?? columns.map(({ id }) => id)), [chosen, columns]);
  const shown = useMemo(() => columns.filter(({ fixed, id }) => fixed || ids.has(id)), [columns, ids]);
  const [opened, setOpened] = useState<AnswerRow | null>(null);
  const forFile = useMemo(() => columns.map((column) => ({ ...column, id: column.id.replace(/^=/, "") })), [columns]);
  if (answer.error && !answer.ready) return <Failure error={answer.error} onRetry={reader.news} />;
  if (!answer.ready) return <Loading rows={6} />;
  return (
    <>
      <div className="flex items-center justify-end gap-2 px-3 py-1">
        <ExportMenu
          name="live-query"
          columns={forFile}
          pages={() => answerPages(rowLoader(query.id, host, EXPORT_PAGE))}
        />
        <ColumnsMenu all={columns} ids={ids} choose={choose} />
      </div>
      <Grid
        label={t("rows")}
        columns={shown}
        rows={answer.rows}
        rowId={(row) => String(row.n)}
        total={host ? undefined : query.rows}
        onMore={answer.more ? reader.more : undefined}
        loadingMore={answer.loading}
        onOpen={setOpened}
        cardHeight={76}
        card={(row) => (
          <div className="flex h-full flex-col justify-between text-sm">
            <span className="truncate font-medium">{row.host_name}</span>
            <span className="mono truncate text-xs text-text-2">
              {Object.values(row.values)
                .filter((value) => value !== null && value !== "")
                .join(" · ")}
            </span>
          </div>
        )}
        empty={
          <Empty icon={DatabaseZap} title={t(query.ended ? "noRows" : "waiting")}>
            {!query.ended && t("waitingHint")}
          </Empty>
        }
      />
      <RowSheet row={opened} onClose={() => setOpened(null)} />
    </>
  );
}

function CallOff({ query }: { query: LiveQuery }) {
  const t = useText(text);
  const refresh = useFreshen("live-queries");
  const { act } = useAction();
  const [asking, setAsking] = useState(false);
  if (query.ended || query.cancelled) return null;
  return (
    <>
      <Button icon={CircleX} onClick={() => setAsking(true)}>
        {t("callOff")}
      </Button>
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={t("callOffTitle")}
        description={t("callOffHint")}
        action={t("callOff")}
        danger
        onConfirm={async () => {
          const params = { path: { id: query.id } };
          await act(() => must(api.POST("/api/v1/live-queries/{id}/cancel", { params })), t("calledOff"));
          refresh();
        }}
      />
    </>
  );
}
