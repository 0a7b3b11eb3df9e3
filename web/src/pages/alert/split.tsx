import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import type { Alert } from "@/pages/alerts/data";
import { text } from "@/pages/alerts/strings";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { done } from "@/ui/toast";

type Event = Pick<Schema<"EvidenceView">, "batch" | "row">;

/** Takes events out of an alert that gathered too much, into one of their own; the way back is offered. */
export function SplitAlert({
  alert,
  events,
  open,
  onClose,
}: {
  alert: Alert;
  events: readonly Event[];
  open: boolean;
  onClose: () => void;
}) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("splitTitle", { n: events.length })} description={t("splitHint")}>
      {open && <Form alert={alert} events={events} onClose={onClose} />}
    </Dialog>
  );
}

function Form({ alert, events, onClose }: { alert: Alert; events: readonly Event[]; onClose: () => void }) {
  const t = useText(text);
  const u = useText(ui);
  const navigate = useNavigate();
  const refresh = useFreshen("alerts", "incidents");
  const { busy, act } = useAction();
  const [note, setNote] = useState("");
  const joinBack = async (id: string) => {
    await act(() => must(api.POST("/api/v1/alerts/{id}/join-back", { params: { path: { id } } })), t("joinedBack"));
    refresh();
    await navigate({ to: "/alerts/$id", params: { id: alert.id } });
  };
  const split = async (event: FormEvent) => {
    event.preventDefault();
    const body = { events: events.map(({ batch, row }) => ({ batch, row })), ...(note.trim() ? { note } : {}) };
    const made = await act(() =>
      must(api.POST("/api/v1/alerts/{id}/split", { params: { path: { id: alert.id } }, body })),
    );
    refresh();
    if (!made) return;
    onClose();
    done(t("splitDone"), { label: u("undo"), run: () => void joinBack(made.split.id) });
    await navigate({ to: "/alerts/$id", params: { id: made.split.id } });
  };
  return (
    <form onSubmit={split} className="flex flex-col gap-4">
      <Field label={t("note")}>
        {(ids) => <Input {...ids} autoFocus value={note} onChange={(event) => setNote(event.target.value)} />}
      </Field>
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {t("splitAction")}
      </Button>
    </form>
  );
}
