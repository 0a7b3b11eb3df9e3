import { type FormEvent, useState } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { Button } from "@/ui/button";
import { Field, Input, Switch, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { text } from "./strings";

export interface Named {
  name: string;
  description: string;
  shared: boolean;
}

/** Asks for the name of what is kept, and whether others may use it. */
export function SaveDialog({
  open,
  onClose,
  title,
  described,
  busy,
  onSave,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  /** Whether it has a description. */
  described?: boolean;
  busy: boolean;
  onSave: (named: Named) => void;
}) {
  return (
    <Dialog open={open} onClose={onClose} title={title}>
      {open && <Form described={described ?? false} busy={busy} onSave={onSave} />}
    </Dialog>
  );
}

function Form({ described, busy, onSave }: { described: boolean; busy: boolean; onSave: (named: Named) => void }) {
  const t = useText(text);
  const u = useText(ui);
  const mayShare = useCan("views:share");
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [shared, setShared] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSave({ name: name.trim(), description, shared });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <Field label={t("name")}>
        {(ids) => <Input {...ids} required autoFocus value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
      {described && (
        <Field label={t("description")}>
          {(ids) => <Textarea {...ids} value={description} onChange={(event) => setDescription(event.target.value)} />}
        </Field>
      )}
      <div className="flex flex-wrap items-center justify-between gap-3">
        {mayShare ? (
          <span className="flex items-center gap-3 text-sm">
            <Switch label={t("share")} checked={shared} onChange={setShared} /> {t("share")}
          </span>
        ) : (
          <span />
        )}
        <Button type="submit" look="primary" busy={busy} disabled={!name.trim()}>
          {u("save")}
        </Button>
      </div>
    </form>
  );
}
