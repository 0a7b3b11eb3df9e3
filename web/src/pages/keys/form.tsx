import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useSession } from "@/app/session";
import { Button } from "@/ui/button";
import { Checkbox, Field, Input } from "@/ui/form";
import { text } from "./strings";

export type Key = Schema<"KeyView">;

const DAY_MS = 86_400_000;
const day = (time: string | number) => new Date(time).toISOString().slice(0, 10);
/** The end of a day, which is when a key expires. */
const endOf = (date: string) => new Date(`${date}T23:59:59Z`).toISOString();

interface Values {
  name: string;
  expires: string;
  permissions: readonly string[];
}

function valuesOf(key: Key): Values {
  return { name: key.name, expires: key.expires ? day(key.expires) : "", permissions: key.permissions };
}

const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((one) => b.includes(one));

/** Only what is different: what somebody may not give stays on a key as long as it is not touched. */
function changes(before: Values, after: Values) {
  return {
    ...(after.name === before.name ? {} : { name: after.name }),
    ...(after.expires === before.expires ? {} : { expires: endOf(after.expires) }),
    ...(same(after.permissions, before.permissions) ? {} : { permissions: [...after.permissions] }),
  };
}

/** A key that is made, or one that is changed. What was made is handed on: it is shown once. */
export function KeyForm({ of, onDone }: { of?: Key; onDone: (secret: string | null) => void }) {
  const t = useText(text);
  const client = useQueryClient();
  const { permissions: held } = useSession();
  const { busy, act } = useAction();
  const [key, setKey] = useState(of);
  const [values, setValues] = useState<Values>(() =>
    of
      ? valuesOf(of)
      : { name: "", expires: day(Date.now() + 90 * DAY_MS), permissions: held.filter((one) => one.endsWith(":read")) },
  );
  const set = (part: Partial<Values>) => setValues((before) => ({ ...before, ...part }));
  const offered = [...held, ...(key?.permissions.filter((one) => !held.includes(one)) ?? [])];
  const change = async (before: Key) => {
    try {
      const body = { version: before.version, ...changes(valuesOf(before), values) };
      await must(api.PATCH("/api/v1/api-keys/{id}", { params: { path: { id: before.id } }, body }));
      return { secret: null };
    } catch (error) {
      if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
      const current = error.current as Key;
      setKey(current);
      setValues(valuesOf(current));
      throw new Error(t("conflict"));
    }
  };
  const make = () => {
    const { name, expires, permissions } = values;
    const body = { name, expires: endOf(expires), permissions: [...permissions] };
    return must(api.POST("/api/v1/api-keys", { body }));
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const saved = key ? await act(() => change(key), t("changed")) : await act(make);
    void client.invalidateQueries({ queryKey: ["keys"] });
    if (saved) onDone(saved.secret);
  };
  const toggle = (permission: string, on: boolean) =>
    set({
      permissions: on
        ? [...values.permissions, permission]
        : values.permissions.filter((other) => other !== permission),
    });
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("name")} hint={t("nameHint")}>
          {(ids) => (
            <Input {...ids} required value={values.name} onChange={(event) => set({ name: event.target.value })} />
          )}
        </Field>
        <Field label={t("expires")}>
          {(ids) => (
            <Input
              {...ids}
              required
              type="date"
              value={values.expires}
              onChange={(event) => set({ expires: event.target.value })}
            />
          )}
        </Field>
      </div>
      <fieldset className="m-0 border-0 p-0">
        <legend className="mb-2 p-0 text-sm font-medium">{t("scope")}</legend>
        <div className="grid gap-x-4 gap-y-2 sm:grid-cols-2">
          {offered.map((permission) => {
            const strange = !held.includes(permission);
            return (
              <span
                key={permission}
                className="flex items-center gap-2.5 text-sm"
                title={strange ? t("notHeld") : undefined}
              >
                <Checkbox
                  label={permission}
                  checked={values.permissions.includes(permission)}
                  disabled={strange && !values.permissions.includes(permission)}
                  onChange={(on) => toggle(permission, on)}
                />
                <span className="mono">{permission}</span>
              </span>
            );
          })}
        </div>
      </fieldset>
      <Button type="submit" look="primary" busy={busy} disabled={values.permissions.length === 0} className="self-end">
        {t(key ? "save" : "make")}
      </Button>
    </form>
  );
}
