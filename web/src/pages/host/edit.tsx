import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, Problem } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { type Host, hostQuery } from "@/pages/hosts/data";
import { labelsOf } from "@/pages/hosts/labels";
import { text as hosts } from "@/pages/hosts/strings";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { text } from "./strings";

const joined = (labels: readonly string[]) => labels.join(", ");
const valuesOf = (host: Host) => ({ name: host.name, tags: joined(host.tags), groups: joined(host.groups) });

/** The name, tags and groups of a host. */
export function EditHost({ host, onClose }: { host: Host; onClose: () => void }) {
  const t = useText(text);
  const h = useText(hosts);
  const u = useText(ui);
  const client = useQueryClient();
  const refresh = useFreshen("hosts");
  const { busy, act } = useAction();
  const [seen, setSeen] = useState(host);
  const [values, setValues] = useState(() => valuesOf(host));
  const set = (part: Partial<typeof values>) => setValues((before) => ({ ...before, ...part }));
  const save = async () => {
    try {
      const before = valuesOf(seen);
      const body = {
        version: seen.version,
        ...(values.name === before.name ? {} : { name: values.name }),
        ...(values.tags === before.tags ? {} : { tags: labelsOf(values.tags) }),
        ...(values.groups === before.groups ? {} : { groups: labelsOf(values.groups) }),
      };
      return await must(api.PATCH("/api/v1/hosts/{id}", { params: { path: { id: host.id } }, body }));
    } catch (error) {
      if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
      const current = error.current as Host;
      setSeen(current);
      setValues(valuesOf(current));
      throw new Error(t("conflict"));
    }
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const saved = await act(save, t("saved"));
    if (!saved) return;
    client.setQueryData(hostQuery(host.id).queryKey, saved);
    refresh();
    onClose();
  };
  return (
    <Dialog open onClose={onClose} title={t("editTitle", { name: host.name })}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label={h("name")} hint={t("nameHint")}>
          {(ids) => (
            <Input {...ids} required value={values.name} onChange={(event) => set({ name: event.target.value })} />
          )}
        </Field>
        <Field label={h("tags")} hint={t("labelHint")}>
          {(ids) => <Input {...ids} value={values.tags} onChange={(event) => set({ tags: event.target.value })} />}
        </Field>
        <Field label={h("groups")} hint={t("labelHint")}>
          {(ids) => <Input {...ids} value={values.groups} onChange={(event) => set({ groups: event.target.value })} />}
        </Field>
        <Button type="submit" look="primary" busy={busy} className="self-end">
          {u("save")}
        </Button>
      </form>
    </Dialog>
  );
}
