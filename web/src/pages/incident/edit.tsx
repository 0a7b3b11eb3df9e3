import { type FormEvent, useState } from "react";
import { useText } from "@/app/preferences";
import { type Incident, KINDS } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { SEVERITIES, type Severity } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Field, Input, Select, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { type Change, useChange } from "./change";

const FIELDS = ["title", "summary", "kind", "severity", "tags"] as const;
type Draft = Required<Pick<Incident, (typeof FIELDS)[number]>>;

function draftOf({ title, summary, kind, severity, tags }: Incident): Draft {
  return { title, summary, kind, severity, tags };
}

/** What a person changed, and nothing else: the rest stays as others left it. */
export function changed(before: Draft, after: Draft): Change {
  const part: Record<string, unknown> = {};
  for (const field of FIELDS) {
    if (JSON.stringify(before[field]) !== JSON.stringify(after[field])) part[field] = after[field];
  }
  return part as Change;
}

/** The words of an incident. A refused change keeps what was typed, beside what stands now. */
export function EditIncident({ incident, open, onClose }: { incident: Incident; open: boolean; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("editTitle", { number: incident.number })} sheet>
      {open && <Form incident={incident} onClose={onClose} />}
    </Dialog>
  );
}

function Form({ incident, onClose }: { incident: Incident; onClose: () => void }) {
  const t = useText(text);
  const u = useText(ui);
  const { busy, change, conflict } = useChange(incident);
  const [seen] = useState(() => draftOf(incident));
  const [draft, setDraft] = useState(seen);
  const [tags, setTags] = useState(seen.tags.join(" "));
  const set = (part: Partial<Draft>) => setDraft((before) => ({ ...before, ...part }));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const after = { ...draft, tags: tags.split(/[\s,]+/).filter(Boolean) };
    // Only what this person changed: what somebody else changed meanwhile stays.
    if (await change(changed(seen, after))) onClose();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      {conflict && (
        <div role="alert" className="rounded-m border border-medium/40 bg-medium-soft p-3 text-sm">
          <p className="m-0 font-medium text-medium">{t("conflictTitle")}</p>
          <dl className="m-0 mt-2 grid grid-cols-[auto_1fr] gap-x-3 gap-y-1">
            {FIELDS.filter((field) => JSON.stringify(seen[field]) !== JSON.stringify(conflict[field])).map((field) => (
              <div key={field} className="contents">
                <dt className="text-text-3">{t(field === "title" ? "name" : field)}</dt>
                <dd className="m-0 break-words">{String(conflict[field])}</dd>
              </div>
            ))}
          </dl>
          <p className="m-0 mt-2 text-text-2">{t("conflictHint")}</p>
        </div>
      )}
      <Field label={t("name")}>
        {(ids) => (
          <Input {...ids} required value={draft.title} onChange={(event) => set({ title: event.target.value })} />
        )}
      </Field>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("kind")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("kind")}
              value={draft.kind as (typeof KINDS)[number]}
              onChange={(kind) => set({ kind })}
              options={KINDS.map((value) => ({ value, label: t(value) }))}
              className="w-full"
            />
          )}
        </Field>
        <Field label={t("severity")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("severity")}
              value={draft.severity as Severity}
              onChange={(severity) => set({ severity })}
              options={SEVERITIES.map((value) => ({ value, label: u(value) }))}
              className="w-full"
            />
          )}
        </Field>
      </div>
      <Field label={t("tags")} hint={t("tagsHint")}>
        {(ids) => <Input {...ids} value={tags} onChange={(event) => setTags(event.target.value)} />}
      </Field>
      <Field label={t("summary")}>
        {(ids) => (
          <Textarea
            {...ids}
            rows={8}
            value={draft.summary}
            onChange={(event) => set({ summary: event.target.value })}
          />
        )}
      </Field>
      <Button type="submit" look="primary" busy={busy} disabled={!draft.title.trim()} className="self-end">
        {u("save")}
      </Button>
    </form>
  );
}
