import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { CircleAlert, CircleCheck } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, Problem } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useSlowText } from "@/app/slow-text";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Segmented } from "@/ui/tabs";
import { type Group, groupsQuery, tryQuery } from "./data";
import { text } from "./strings";

/** A group that is made or changed. An expression is tried on the hosts while it is written. */
export function GroupForm({ of, onClose }: { of: Group | null; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open onClose={onClose} title={of ? t("edit", { name: of.name }) : t("make")} wide>
      <Form of={of} onClose={onClose} />
    </Dialog>
  );
}

function Form({ of, onClose }: { of: Group | null; onClose: () => void }) {
  const t = useText(text);
  const refresh = useFreshen(groupsQuery.queryKey[0] ?? "", "hosts");
  const { busy, act } = useAction();
  const [seen, setSeen] = useState(of);
  const [name, setName] = useState(of?.name ?? "");
  const [description, setDescription] = useState(of?.description ?? "");
  const [fits, setFits] = useState(of ? of.filter !== null && of.filter !== undefined : true);
  const [asked, setAsked] = useState(of?.filter ?? "");
  const [filter, setFilter] = useSlowText(asked, setAsked);
  const tried = useQuery({ ...tryQuery(asked), enabled: fits, placeholderData: keepPreviousData });
  const save = async () => {
    const wanted = { description, filter: fits ? filter : null };
    if (!seen) return must(api.POST("/api/v1/host-groups", { body: { name, ...wanted } }));
    try {
      const body = { version: seen.version, ...wanted };
      return await must(api.PUT("/api/v1/host-groups/{id}", { params: { path: { id: seen.id } }, body }));
    } catch (error) {
      if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
      const current = error.current as Group;
      setSeen(current);
      setDescription(current.description);
      setFits(typeof current.filter === "string");
      setFilter(current.filter ?? "");
      throw new Error(t("conflict"));
    }
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const saved = await act(save, t("saved"));
    refresh();
    if (saved) onClose();
  };
  const wrong = fits && asked.trim() !== "" && tried.data?.issue;
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("name")}>
          {(ids) => (
            <Input
              {...ids}
              required
              disabled={of !== null}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label={t("description")}>
          {(ids) => <Input {...ids} value={description} onChange={(event) => setDescription(event.target.value)} />}
        </Field>
      </div>
      <Segmented
        label={t("how")}
        value={fits ? "fitting" : "named"}
        onChange={(next) => setFits(next === "fitting")}
        tabs={[
          { value: "fitting", label: t("fitting") },
          { value: "named", label: t("named") },
        ]}
      />
      {fits && (
        <>
          <Field label={t("expression")} hint={t("expressionHint")}>
            {(ids) => (
              <Input
                {...ids}
                required
                className="mono"
                spellCheck={false}
                value={filter}
                onChange={(event) => setFilter(event.target.value)}
              />
            )}
          </Field>
          {asked.trim() !== "" && tried.data && (
            <div role="status" className="text-sm">
              {wrong ? (
                <div className="flex items-start gap-2 text-critical">
                  <CircleAlert aria-hidden size={15} className="mt-0.5 shrink-0" />
                  <span className="mono min-w-0 overflow-x-auto whitespace-pre text-xs">{tried.data.issue}</span>
                </div>
              ) : (
                <div className="flex items-start gap-2">
                  <CircleCheck aria-hidden size={15} className="mt-0.5 shrink-0 text-good" />
                  <span className="min-w-0">
                    <span className="font-medium">{t("fits", { n: tried.data.hosts })}</span>{" "}
                    <span className="break-words text-text-3">{tried.data.examples.join(", ")}</span>
                  </span>
                </div>
              )}
            </div>
          )}
          {tried.data && (
            <details>
              <summary className="cursor-pointer text-sm text-text-2">{t("fields")}</summary>
              <dl className="m-0 mt-2 grid grid-cols-[minmax(96px,auto)_1fr] gap-x-4 gap-y-1 text-xs">
                {tried.data.fields.map((field) => (
                  <div key={field.name} className="contents">
                    <dt className="mono">{field.name}</dt>
                    <dd className="m-0 text-text-3">{field.doc}</dd>
                  </div>
                ))}
              </dl>
            </details>
          )}
        </>
      )}
      <Button type="submit" look="primary" busy={busy} disabled={Boolean(wrong)} className="self-end">
        {t("save")}
      </Button>
    </form>
  );
}
