import { AtSign } from "lucide-react";
import { type FormEvent, useRef, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Button } from "@/ui/button";
import { Field, Textarea } from "@/ui/form";
import { Segmented } from "@/ui/tabs";
import { When } from "@/ui/when";

type Person = Schema<"PersonView">;
const SHOWN_MAX = 6;

/** The beginning of a name behind an `@` where the text ends at the cursor. */
export function mentioned(before: string): string | null {
  return /(?:^|\s)@([\w.-]*)$/.exec(before)?.[1] ?? null;
}

/** A comment with mentions, a note, or an action with the time at which it was taken. */
export function Write({ incident, people }: { incident: Incident; people: readonly Person[] }) {
  const t = useText(text);
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const box = useRef<HTMLTextAreaElement>(null);
  const [kind, setKind] = useState<"comment" | "note" | "action">("comment");
  const [value, setValue] = useState("");
  const [cursor, setCursor] = useState(0);
  const [time, setTime] = useState<string | null>(null);
  const params = { path: { id: incident.id } };
  const begun = kind === "comment" ? mentioned(value.slice(0, cursor)) : null;
  const offered =
    begun === null
      ? []
      : people
          .filter((p) => p.name.startsWith(begun) || p.display_name.toLowerCase().startsWith(begun))
          .slice(0, SHOWN_MAX);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const sent = await act(() =>
      must(
        kind === "comment"
          ? api.POST("/api/v1/incidents/{id}/comments", { params, body: { text: value } })
          : api.POST("/api/v1/incidents/{id}/timeline", { params, body: { kind, text: value, event_time: time } }),
      ),
    );
    if (!sent) return;
    setValue("");
    setTime(null);
    refresh();
  };
  const mention = (name: string) => {
    const start = cursor - (begun?.length ?? 0);
    setValue(`${value.slice(0, start)}${name} ${value.slice(cursor)}`);
    setCursor(start + name.length + 1);
    box.current?.focus();
  };
  return (
    <form onSubmit={submit} className="mb-5 flex flex-col gap-2">
      <Textarea
        ref={box}
        aria-label={t("comment")}
        placeholder={t("commentHint")}
        rows={2}
        value={value}
        onChange={(event) => {
          setValue(event.target.value);
          setCursor(event.target.selectionStart);
        }}
        onSelect={(event) => setCursor(event.currentTarget.selectionStart)}
      />
      {offered.length > 0 && (
        <div className="flex flex-wrap gap-1">
          {offered.map((person) => (
            <Button
              key={person.id}
              look="quiet"
              icon={AtSign}
              className="!h-7 !px-2"
              aria-label={t("mentionSomebody", { name: person.name })}
              onClick={() => mention(person.name)}
            >
              {person.display_name || person.name}
            </Button>
          ))}
        </div>
      )}
      {kind !== "comment" && (
        <Field label={t("eventTime")} hint={t("eventTimeHint")}>
          {(ids) => <When {...ids} value={time} onChange={setTime} />}
        </Field>
      )}
      <div className="flex flex-wrap justify-between gap-2">
        <Segmented
          label={t("timeline")}
          value={kind}
          onChange={setKind}
          tabs={(["comment", "note", "action"] as const).map((option) => ({ value: option, label: t(option) }))}
        />
        <Button type="submit" look="primary" busy={busy} disabled={!value.trim()}>
          {t("send")}
        </Button>
      </div>
    </form>
  );
}
