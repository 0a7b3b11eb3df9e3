import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import {
  Bell,
  CircleDot,
  Clock,
  FileBox,
  GitMerge,
  ListChecks,
  type LucideIcon,
  MessageSquare,
  PencilLine,
  StickyNote,
  Target,
  Wrench,
} from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Button } from "@/ui/button";
import { Textarea } from "@/ui/form";
import { Markdown } from "@/ui/markdown";
import { Panel } from "@/ui/panel";
import { Failure, Loading } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { At } from "@/ui/time";
import { text as ui } from "@/ui/strings";

type Entry = Schema<"EntryView">;

const ICONS: Record<string, LucideIcon> = {
  alert: Bell,
  note: StickyNote,
  action: Wrench,
  comment: MessageSquare,
  status: CircleDot,
  edit: PencilLine,
  evidence: FileBox,
  task: ListChecks,
  entity: Target,
  merge: GitMerge,
  sla: Clock,
};

function EntryRow({ entry }: { entry: Entry }) {
  const t = useText(text);
  const Icon = ICONS[entry.kind] ?? CircleDot;
  const said = entry.kind === "comment" || entry.kind === "note";
  return (
    <li className="relative flex gap-3 pb-5 last:pb-0">
      <span aria-hidden className="absolute bottom-0 left-[13px] top-7 w-px bg-line" />
      <span className="z-10 flex size-7 shrink-0 items-center justify-center rounded-full border border-line bg-sunken text-text-3">
        <Icon aria-hidden size={14} />
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-baseline gap-x-2 text-xs text-text-3">
          <span className="font-medium text-text-2">{entry.author}</span>
          <At time={entry.event_time} />
          {entry.edited && <span>({t("edited")})</span>}
        </div>
        {said ? (
          <div className="mt-1 rounded-m border border-line bg-sunken px-3 py-0.5">
            <Markdown text={entry.text} />
          </div>
        ) : (
          <div className="mt-0.5 whitespace-pre-wrap break-words text-sm">{entry.text}</div>
        )}
      </div>
    </li>
  );
}

function Write({ incident, onDone }: { incident: Incident; onDone: () => void }) {
  const t = useText(text);
  const { busy, act } = useAction();
  const [kind, setKind] = useState<"comment" | "note" | "action">("comment");
  const [value, setValue] = useState("");
  const params = { path: { id: incident.id } };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const sent = await act(() =>
      must(
        kind === "comment"
          ? api.POST("/api/v1/incidents/{id}/comments", { params, body: { text: value } })
          : api.POST("/api/v1/incidents/{id}/timeline", { params, body: { kind, text: value } }),
      ),
    );
    if (!sent) return;
    setValue("");
    onDone();
  };
  return (
    <form onSubmit={submit} className="mb-5 flex flex-col gap-2">
      <Textarea
        aria-label={t("comment")}
        placeholder={t("commentHint")}
        rows={2}
        value={value}
        onChange={(event) => setValue(event.target.value)}
      />
      <div className="flex flex-wrap justify-between gap-2">
        <Segmented
          label={t("timeline")}
          value={kind}
          onChange={setKind}
          tabs={(["comment", "note", "action"] as const).map((option) => ({ value: option, label: t(option) }))}
        />
        <Button type="submit" look="primary" busy={busy} disabled={!value.trim()}>
          {t(kind === "comment" ? "send" : kind)}
        </Button>
      </div>
    </form>
  );
}

/** Everything that happened, newest first, and the field to say something. */
export function Timeline({ incident }: { incident: Incident }) {
  const t = useText(text);
  const u = useText(ui);
  const client = useQueryClient();
  const write = useCan("incidents:write");
  const query = useInfiniteQuery({
    queryKey: ["incidents", "timeline", incident.id],
    queryFn: ({ pageParam }) =>
      must(
        api.GET("/api/v1/incidents/{id}/timeline", {
          params: { path: { id: incident.id }, query: pageParam ? { cursor: pageParam } : { order: "desc" } },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
  });
  const entries = query.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Panel title={t("timeline")}>
      {write && <Write incident={incident} onDone={() => void client.invalidateQueries({ queryKey: ["incidents"] })} />}
      {query.error && !query.data ? (
        <Failure error={query.error} onRetry={() => void query.refetch()} />
      ) : !query.data ? (
        <Loading rows={5} className="!p-0" />
      ) : entries.length === 0 ? (
        <p className="m-0 text-sm text-text-3">{t("timelineEmpty")}</p>
      ) : (
        <ol className="m-0 list-none p-0">
          {entries.map((entry) => (
            <EntryRow key={entry.id} entry={entry} />
          ))}
        </ol>
      )}
      {query.hasNextPage && (
        <Button look="quiet" busy={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          {u("loadingMore")}
        </Button>
      )}
    </Panel>
  );
}
