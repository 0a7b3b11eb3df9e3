import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { rulesQuery } from "@/pages/rules/data";
import { Button } from "@/ui/button";
import { Field, Input, Select, Switch, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { When } from "@/ui/when";
import { text } from "./strings";

export type Suppression = Schema<"SuppressionView">;
type Body = Schema<"SuppressionBody">;

const VERDICTS = ["benign", "false_positive", "duplicate", "true_positive"] as const;
const KINDS = ["ip", "host", "user", "domain"] as const;

export const NEW: Body = { name: "", reason: "", verdict: "benign", enabled: true };

function bodyOf(one: Suppression): Body {
  const { name, rule_id, entity_kind, entity, group, verdict, reason, expires, enabled, version } = one;
  return { name, rule_id, entity_kind, entity, group, verdict, reason, expires, enabled, version };
}

/** Makes a suppression, or changes one as it was seen. */
export function SuppressionDialog({ one, onClose }: { one: Suppression | "new" | null; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open={one !== null} onClose={onClose} title={t(one === "new" ? "add" : "edit")} sheet>
      {one && <Form key={one === "new" ? "new" : one.id} one={one} onClose={onClose} />}
    </Dialog>
  );
}

function Form({ one, onClose }: { one: Suppression | "new"; onClose: () => void }) {
  const t = useText(text);
  const u = useText(ui);
  const refresh = useFreshen("suppressions", "alerts");
  const rules = useQuery({ ...rulesQuery, enabled: useCan("rules:read") });
  const { busy, act } = useAction();
  const [body, setBody] = useState<Body>(() => (one === "new" ? NEW : bodyOf(one)));
  const set = (part: Partial<Body>) => setBody((before) => ({ ...before, ...part }));
  const names = Boolean(body.rule_id || body.entity || body.group);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const saved = await act(async () => {
      if (one === "new") return must(api.POST("/api/v1/suppressions", { body }));
      try {
        return await must(api.PATCH("/api/v1/suppressions/{id}", { params: { path: { id: one.id } }, body }));
      } catch (error) {
        if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
        if (error.current) setBody(bodyOf(error.current as Suppression));
        throw new Error(t("conflict"));
      }
    }, t("saved"));
    refresh();
    if (saved) onClose();
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      <Field label={t("name")}>
        {(ids) => <Input {...ids} required value={body.name} onChange={(event) => set({ name: event.target.value })} />}
      </Field>
      <Field label={t("rule")} hint={names ? undefined : t("needsOne")}>
        {(ids) => (
          <Select
            {...ids}
            label={t("rule")}
            value={body.rule_id ?? ""}
            onChange={(rule) => set({ rule_id: rule || null })}
            className="w-full"
            options={[
              { value: "", label: t("anyRule") },
              ...(rules.data?.items ?? []).map((rule) => ({ value: rule.id, label: rule.title })),
            ]}
          />
        )}
      </Field>
      <div className="grid gap-4 sm:grid-cols-[160px_1fr]">
        <Field label={t("entityKind")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("entityKind")}
              value={body.entity_kind ?? ""}
              onChange={(kind) => set({ entity_kind: kind || null })}
              className="w-full"
              options={[{ value: "", label: t("anyEntity") }, ...KINDS.map((kind) => ({ value: kind, label: kind }))]}
            />
          )}
        </Field>
        <Field label={t("entity")}>
          {(ids) => (
            <Input
              {...ids}
              className="mono"
              value={body.entity ?? ""}
              onChange={(event) => set({ entity: event.target.value || null })}
            />
          )}
        </Field>
      </div>
      <Field label={t("group")}>
        {(ids) => (
          <Input
            {...ids}
            className="mono"
            value={body.group ?? ""}
            onChange={(event) => set({ group: event.target.value || null })}
          />
        )}
      </Field>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("verdict")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("verdict")}
              value={body.verdict as (typeof VERDICTS)[number]}
              onChange={(verdict) => set({ verdict })}
              className="w-full"
              options={VERDICTS.map((value) => ({ value, label: t(value) }))}
            />
          )}
        </Field>
        <Field label={t("expires")} hint={t("expiresHint")}>
          {(ids) => <When {...ids} value={body.expires ?? null} onChange={(expires) => set({ expires })} />}
        </Field>
      </div>
      <Field label={t("reason")} hint={t("reasonHint")}>
        {(ids) => (
          <Textarea {...ids} required value={body.reason} onChange={(event) => set({ reason: event.target.value })} />
        )}
      </Field>
      <div className="flex items-center justify-between gap-3">
        <span className="flex items-center gap-3 text-sm">
          <Switch label={t("applies")} checked={body.enabled ?? true} onChange={(enabled) => set({ enabled })} />
          {t("applies")}
        </span>
        <Button type="submit" look="primary" busy={busy} disabled={!body.name.trim() || !body.reason.trim() || !names}>
          {u("save")}
        </Button>
      </div>
    </form>
  );
}
