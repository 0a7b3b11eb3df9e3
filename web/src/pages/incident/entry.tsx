import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import {
  ArrowRight,
  Bell,
  CircleDot,
  Clock,
  Ellipsis,
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
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { peopleQuery } from "@/app/people";
import { useText } from "@/app/preferences";
import { useCan, useSession } from "@/app/session";
import { writer, writerText } from "@/app/writer";
import { text as entityText } from "@/pages/entity/strings";
import type { Incident } from "@/pages/incidents/data";
import { IncidentStatus } from "@/pages/incidents/parts";
import { text } from "@/pages/incidents/strings";
import { Button, IconButton } from "@/ui/button";
import { Field, Textarea } from "@/ui/form";
import { Markdown } from "@/ui/markdown";
import { Menu, MenuItem } from "@/ui/menu";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { At } from "@/ui/time";
import { When } from "@/ui/when";
import { told, text as toldText } from "./told";

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

/** One thing that happened or was said. */
export function EntryRow({ incident, entry }: { incident: Incident; entry: Entry }) {
  const t = useText(text);
  const n = useText(writerText);
  const Icon = ICONS[entry.kind] ?? CircleDot;
  const said = entry.kind === "comment" || entry.kind === "note" || (entry.kind === "action" && !entry.automatic);
  return (
    <li className="relative flex gap-3 pb-5 last:pb-0">
      <span aria-hidden className="absolute bottom-0 left-[13px] top-7 w-px bg-line" />
      <span className="z-10 flex size-7 shrink-0 items-center justify-center rounded-full border border-line bg-sunken text-text-3">
        <Icon aria-hidden size={14} />
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-center gap-x-2 text-xs text-text-3">
          <span className="font-medium text-text-2">
            {writer(entry.author, entry.automatic && !entry.author_id, n)}
          </span>
          <At time={entry.event_time} />
          {entry.edited && <span>({t("edited")})</span>}
          <EntryMenu incident={incident} entry={entry} />
        </div>
        {said ? (
          <div className="mt-1 rounded-m border border-line bg-sunken px-3 py-2">
            <Markdown text={entry.text} />
          </div>
        ) : (
          <Told entry={entry} />
        )}
      </div>
    </li>
  );
}

const STEP = /^(\w+) → (\w+)(.*)$/s;

/** What the program noted; a change of status as the statuses are shown elsewhere. */
function Told({ entry }: { entry: Entry }) {
  const t = useText(toldText);
  const incidents = useText(text);
  const kinds = useText(entityText);
  const u = useText(ui);
  const people = useQuery({ ...peopleQuery, enabled: useCan("alerts:read") && entry.kind === "edit" });
  const person = (id: string) => people.data?.items.find((one) => one.id === id)?.name ?? id;
  const said = told(entry, { t, incidents, kinds, ui: u, person }) ?? entry.text;
  const step = entry.kind === "status" ? STEP.exec(entry.text) : null;
  return (
    <div className="mt-0.5 flex flex-wrap items-center gap-2 text-sm">
      {step?.[1] && step[2] ? (
        <>
          <IncidentStatus status={step[1]} />
          <ArrowRight aria-hidden size={13} className="text-text-3" />
          <IncidentStatus status={step[2]} />
          <span className="min-w-0 whitespace-pre-wrap break-words">{step[3]}</span>
        </>
      ) : (
        <span className="min-w-0 whitespace-pre-wrap break-words">
          {linked(said, (entry.data as { number?: number; incident?: string } | null) ?? {})}
        </span>
      )}
    </div>
  );
}

/** A sentence in which the number of another incident leads there. */
function linked(said: string, { number, incident }: { number?: number; incident?: string }) {
  const [before, after] = said.split(`#${number}`);
  if (!incident || after === undefined) return said;
  return (
    <>
      {before}
      <Link to="/incidents/$id" params={{ id: incident }} className="text-accent">
        #{number}
      </Link>
      {after}
    </>
  );
}

function EntryMenu({ incident, entry }: { incident: Incident; entry: Entry }) {
  const t = useText(text);
  const session = useSession();
  const write = useCan("incidents:write");
  const refresh = useFreshen("incidents");
  const { act } = useAction();
  const [editing, setEditing] = useState(false);
  const own = entry.author_id === session.user;
  // What others said is theirs; what the program noted can only be moved in time.
  const mayEdit = write && (entry.automatic || own);
  const mayDelete = write && !entry.automatic && own;
  if (!mayEdit && !mayDelete) return null;
  const params = { path: { id: incident.id, entry: entry.id } };
  const remove = () => {
    const gone = () => must(api.DELETE("/api/v1/incidents/{id}/timeline/{entry}", { params })).then(() => true);
    void act(gone, t("deleted")).then(refresh);
  };
  return (
    <>
      <Menu
        trigger={
          <IconButton
            label={t("entryActions", { author: entry.author })}
            icon={Ellipsis}
            size={14}
            className="!h-6 !w-6"
          />
        }
      >
        {mayEdit && <MenuItem onSelect={() => setEditing(true)}>{t("editEntry")}</MenuItem>}
        {mayDelete && (
          <MenuItem danger onSelect={remove}>
            {t("deleteEntry")}
          </MenuItem>
        )}
      </Menu>
      <Dialog open={editing} onClose={() => setEditing(false)} title={t("editEntry")}>
        {editing && <EditEntry incident={incident} entry={entry} onClose={() => setEditing(false)} />}
      </Dialog>
    </>
  );
}

function EditEntry({ incident, entry, onClose }: { incident: Incident; entry: Entry; onClose: () => void }) {
  const t = useText(text);
  const u = useText(ui);
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const [value, setValue] = useState(entry.text);
  const [time, setTime] = useState<string | null>(entry.event_time);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const params = { path: { id: incident.id, entry: entry.id } };
    const body = { version: entry.version, event_time: time, ...(entry.automatic ? {} : { text: value }) };
    const saved = await act(
      () => must(api.PATCH("/api/v1/incidents/{id}/timeline/{entry}", { params, body })),
      t("saved"),
    );
    refresh();
    if (saved) onClose();
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      {!entry.automatic && (
        <Textarea aria-label={t("comment")} rows={5} value={value} onChange={(event) => setValue(event.target.value)} />
      )}
      {entry.kind !== "comment" && (
        <Field label={t("eventTime")}>{(ids) => <When {...ids} value={time} onChange={setTime} />}</Field>
      )}
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {u("save")}
      </Button>
    </form>
  );
}
