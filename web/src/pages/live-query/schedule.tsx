import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { policiesQuery, policyQuery } from "@/pages/policies/data";
import { Button } from "@/ui/button";
import { Field, Input, Select } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Loaded } from "@/ui/state";
import { nameOf, withScheduled } from "./data";
import { text } from "./strings";

const EVERY = [60, 300, 900, 3_600, 21_600, 86_400] as const;

/** Puts a statement into a policy, so that its hosts ask themselves again and again. */
export function Schedule({ open, sql, onClose }: { open: boolean; sql: string; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("scheduleTitle")} description={t("scheduleHint")}>
      {open && <Form sql={sql} onClose={onClose} />}
    </Dialog>
  );
}

function Form({ sql, onClose }: { sql: string; onClose: () => void }) {
  const t = useText(text);
  const policies = useQuery(policiesQuery);
  return (
    <Loaded query={policies} rows={4}>
      {({ items }) =>
        items[0] ? (
          <Choose sql={sql} policies={items} first={items[0].id} onClose={onClose} />
        ) : (
          <p className="m-0 text-sm">
            {t("noPolicy")}{" "}
            <Link to="/policies/$id" params={{ id: "new" }} className="text-accent">
              {t("makePolicy")}
            </Link>
          </p>
        )
      }
    </Loaded>
  );
}

function Choose({
  sql,
  policies,
  first,
  onClose,
}: {
  sql: string;
  policies: readonly { id: string; name: string }[];
  first: string;
  onClose: () => void;
}) {
  const t = useText(text);
  const navigate = useNavigate();
  const refresh = useFreshen("policies", "hosts");
  const { busy, act } = useAction();
  const [policy, setPolicy] = useState(first);
  const [name, setName] = useState(() => nameOf(sql));
  const [every, setEvery] = useState("3600");
  const [answer, setAnswer] = useState<"differences" | "snapshots">("differences");
  const found = useQuery(policyQuery(policy));
  const queries = (found.data?.document as { queries?: Record<string, unknown> } | undefined)?.queries ?? {};
  const label = (seconds: number) =>
    seconds >= 3_600 ? t("hours", { n: seconds / 3_600 }) : t("minutes", { n: seconds / 60 });
  const put = async () => {
    const saved = await act(async () => {
      // As it is now: what others changed meanwhile stays.
      const now = await policyQuery(policy).queryFn();
      const query = { sql, every_s: Number(every), ...(answer === "snapshots" ? { answer: "snapshot" as const } : {}) };
      const document = withScheduled(now.document, name.trim(), query) as Record<string, never>;
      const body = { name: now.name, description: now.description, document, version: now.version };
      return must(api.PUT("/api/v1/policies/{id}", { params: { path: { id: policy } }, body }));
    }, t("putDone"));
    if (!saved) return;
    refresh();
    onClose();
    await navigate({ to: "/policies/$id", params: { id: policy } });
  };
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        void put();
      }}
    >
      <Field label={t("policy")}>
        {(ids) => (
          <Select
            {...ids}
            label={t("policy")}
            value={policy}
            onChange={setPolicy}
            options={policies.map((one) => ({ value: one.id, label: one.name }))}
          />
        )}
      </Field>
      <Field label={t("name")} {...(name.trim() in queries ? { hint: t("nameTaken") } : {})}>
        {(ids) => <Input {...ids} required value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("every")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("every")}
              value={every}
              onChange={setEvery}
              options={EVERY.map((seconds) => ({ value: String(seconds), label: label(seconds) }))}
            />
          )}
        </Field>
        <Field label={t("what")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("what")}
              value={answer}
              onChange={setAnswer}
              options={(["differences", "snapshots"] as const).map((value) => ({ value, label: t(value) }))}
            />
          )}
        </Field>
      </div>
      <Button
        type="submit"
        look="primary"
        busy={busy}
        disabled={name.trim() === "" || !found.data}
        className="self-end"
      >
        {t("put")}
      </Button>
    </form>
  );
}
