import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { SEVERITIES, type Severity } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Field, Input, Select, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { KINDS } from "./data";
import { text } from "./strings";

/** A new incident, by hand or from alerts. */
export function CreateIncident({
  open,
  onClose,
  alerts = [],
  title: proposed = "",
}: {
  open: boolean;
  onClose: () => void;
  alerts?: readonly string[];
  title?: string;
}) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("newIncident")}>
      {open && <Form onClose={onClose} alerts={alerts} proposed={proposed} />}
    </Dialog>
  );
}

function Form({ onClose, alerts, proposed }: { onClose: () => void; alerts: readonly string[]; proposed: string }) {
  const t = useText(text);
  const u = useText(ui);
  const client = useQueryClient();
  const navigate = useNavigate();
  const { busy, act } = useAction();
  const [title, setTitle] = useState(proposed);
  const [summary, setSummary] = useState("");
  const [kind, setKind] = useState<(typeof KINDS)[number]>("general");
  const [severity, setSeverity] = useState<Severity>("medium");
  const [template, setTemplate] = useState("");
  const templates = useQuery({
    queryKey: ["incident-templates"],
    queryFn: () => must(api.GET("/api/v1/incident-templates")),
  });
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = {
      title,
      summary,
      kind,
      alerts: [...alerts],
      ...(alerts.length === 0 ? { severity } : {}),
      ...(template ? { template } : {}),
    };
    const made = await act(() => must(api.POST("/api/v1/incidents", { body })), t("created"));
    if (!made) return;
    void client.invalidateQueries({ queryKey: ["incidents"] });
    void client.invalidateQueries({ queryKey: ["alerts"] });
    onClose();
    await navigate({ to: "/incidents/$id", params: { id: String(made.number) } });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <Field label={t("name")}>
        {(ids) => (
          <Input {...ids} required autoFocus value={title} onChange={(event) => setTitle(event.target.value)} />
        )}
      </Field>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("kind")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("kind")}
              value={kind}
              onChange={setKind}
              options={KINDS.map((value) => ({ value, label: t(value) }))}
              className="w-full"
            />
          )}
        </Field>
        {alerts.length === 0 && (
          <Field label={t("severity")}>
            {(ids) => (
              <Select
                {...ids}
                label={t("severity")}
                value={severity}
                onChange={setSeverity}
                options={SEVERITIES.map((value) => ({ value, label: u(value) }))}
                className="w-full"
              />
            )}
          </Field>
        )}
      </div>
      <Field label={t("template")}>
        {(ids) => (
          <Select
            {...ids}
            label={t("template")}
            value={template}
            onChange={setTemplate}
            className="w-full"
            options={[
              { value: "", label: t("noTemplate") },
              ...(templates.data?.items ?? []).map((one) => ({ value: one.id, label: one.name })),
            ]}
          />
        )}
      </Field>
      <Field label={t("summary")}>
        {(ids) => <Textarea {...ids} value={summary} onChange={(event) => setSummary(event.target.value)} />}
      </Field>
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {t("create")}
      </Button>
    </form>
  );
}
