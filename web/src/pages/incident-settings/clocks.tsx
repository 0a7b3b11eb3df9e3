import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { SEVERITIES, type Severity, SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Field, Input, Select, Switch } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Table } from "@/ui/table";
import { text } from "./strings";

const STEPS = ["acknowledge", "contain", "resolve"] as const;
type Step = (typeof STEPS)[number];
type Target = Record<`${Step}_minutes`, number | null>;
interface Sla extends Record<Severity, Target> {
  warn_percent: number;
}
interface Correlation {
  enabled: boolean;
  window_minutes: number;
  create_severity: Severity;
  join_score: number;
  include_replays: boolean;
}
interface Settings {
  version: number;
  sla: Sla;
  correlation: Correlation;
}

const KEY = ["incident-settings"];

/** Deadlines by severity, and which alerts belong together. */
export function Clocks() {
  const query = useQuery({
    queryKey: KEY,
    queryFn: async () => (await must(api.GET("/api/v1/incident-settings"))) as unknown as Settings,
  });
  return <Loaded query={query}>{(settings) => <Form key={settings.version} settings={settings} />}</Loaded>;
}

const whole = (value: string) => (value.trim() === "" ? null : Math.max(0, Math.round(Number(value)) || 0));

function Form({ settings }: { settings: Settings }) {
  const t = useText(text);
  const u = useText(ui);
  const client = useQueryClient();
  const may = useCan("incidents:configure");
  const { busy, act } = useAction();
  const [sla, setSla] = useState(settings.sla);
  const [correlation, setCorrelation] = useState(settings.correlation);
  const format = useFormat();
  const human = (minutes: number | null) => (minutes === null || minutes < 60 ? "" : format.duration(minutes * 60));
  const setTarget = (severity: Severity, step: Step, value: string) =>
    setSla((before) => ({ ...before, [severity]: { ...before[severity], [`${step}_minutes`]: whole(value) } }));
  const join = (part: Partial<Correlation>) => setCorrelation((before) => ({ ...before, ...part }));
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const body = { version: settings.version, sla, correlation } as unknown as Schema<"SettingsView">;
    await act(async () => {
      try {
        client.setQueryData(KEY, await must(api.PUT("/api/v1/incident-settings", { body })));
        return true;
      } catch (error) {
        if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
        await client.invalidateQueries({ queryKey: KEY });
        throw new Error(t("conflict"));
      }
    }, t("saved"));
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      <Panel title={t("clocks")} flush>
        <p className="m-0 px-4 pb-2 text-sm text-text-2">{t("clocksHint")}</p>
        <Table
          label={t("clocks")}
          rows={SEVERITIES}
          rowId={(severity) => severity}
          heads={[
            { id: "severity", label: t("severity"), cell: (severity) => <SeverityMark severity={severity} /> },
            ...STEPS.map((step) => ({
              id: step,
              label: t(step),
              cell: (severity: Severity) => (
                <span className="flex items-center gap-2">
                  <Input
                    type="number"
                    min={1}
                    disabled={!may}
                    aria-label={t("minutesOf", { what: t(step), severity: u(severity) })}
                    value={sla[severity][`${step}_minutes`] ?? ""}
                    onChange={(event) => setTarget(severity, step, event.target.value)}
                    className="!w-24"
                  />
                  <span aria-hidden className="num w-14 text-xs max-sm:hidden text-text-3">
                    {human(sla[severity][`${step}_minutes`])}
                  </span>
                </span>
              ),
            })),
          ]}
        />
        <div className="max-w-md p-4">
          <Field label={t("warn")}>
            {(ids) => (
              <Input
                {...ids}
                type="number"
                min={1}
                max={100}
                disabled={!may}
                value={sla.warn_percent}
                onChange={(event) => setSla({ ...sla, warn_percent: whole(event.target.value) ?? 0 })}
              />
            )}
          </Field>
        </div>
      </Panel>
      <Panel title={t("correlation")}>
        <div className="grid gap-4 sm:grid-cols-2">
          <span className="flex items-center gap-3 text-sm sm:col-span-2">
            <Switch
              label={t("correlate")}
              disabled={!may}
              checked={correlation.enabled}
              onChange={(enabled) => join({ enabled })}
            />
            {t("correlate")}
          </span>
          <Field label={t("window")}>
            {(ids) => (
              <Input
                {...ids}
                type="number"
                min={1}
                disabled={!may}
                value={correlation.window_minutes}
                onChange={(event) => join({ window_minutes: whole(event.target.value) ?? 0 })}
              />
            )}
          </Field>
          <Field label={t("joinScore")}>
            {(ids) => (
              <Input
                {...ids}
                type="number"
                disabled={!may}
                value={correlation.join_score}
                onChange={(event) => join({ join_score: whole(event.target.value) ?? 0 })}
              />
            )}
          </Field>
          <Field label={t("createSeverity")}>
            {(ids) => (
              <Select
                {...ids}
                label={t("createSeverity")}
                disabled={!may}
                value={correlation.create_severity}
                onChange={(create_severity) => join({ create_severity })}
                options={SEVERITIES.map((value) => ({ value, label: u(value) }))}
                className="w-full"
              />
            )}
          </Field>
          <span className="flex items-center gap-3 self-end pb-1.5 text-sm">
            <Switch
              label={t("replays")}
              disabled={!may}
              checked={correlation.include_replays}
              onChange={(include_replays) => join({ include_replays })}
            />
            {t("replays")}
          </span>
        </div>
      </Panel>
      {may && (
        <Button type="submit" look="primary" busy={busy} className="self-end">
          {u("save")}
        </Button>
      )}
    </form>
  );
}
