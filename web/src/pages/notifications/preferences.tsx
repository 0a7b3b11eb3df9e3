import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useMemo, useState } from "react";
import { api, must, Problem } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { EVENTS, type EventName, eventText, type NotificationPreferences, type Wish } from "@/notifications/data";
import { SEVERITIES } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Checkbox, Field, Input, Select, Switch } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as uiText } from "@/ui/strings";
import { LanguageField } from "./language-field";
import { text } from "./strings";

const preferencesQuery = {
  queryKey: ["notification-preferences"],
  queryFn: () => must(api.GET("/api/v1/notifications/preferences")),
};

export function Preferences() {
  const query = useQuery(preferencesQuery);
  return <Loaded query={query}>{(data) => <Form key={data.version} stored={data} />}</Loaded>;
}

function zones(present: string): string[] {
  const all = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
  return [...new Set(["UTC", present, ...all])];
}

/** How an event is told; in the console alone unless something else was chosen. */
function wish({ events }: NotificationPreferences, name: EventName): Wish {
  return events[name] ?? { app: true, mail: "none" };
}

function Form({ stored }: { stored: NotificationPreferences }) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [values, setValues] = useState(stored);
  const set = (part: Partial<NotificationPreferences>) => setValues((before) => ({ ...before, ...part }));
  const setEvent = (name: EventName, part: Partial<Wish>) =>
    set({ events: { ...values.events, [name]: { ...wish(values, name), ...part } } });
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const { mail_to: _, mail_ready: __, ...body } = values;
    await act(async () => {
      try {
        const saved = await must(api.PUT("/api/v1/notifications/preferences", { body }));
        client.setQueryData(preferencesQuery.queryKey, saved);
      } catch (error) {
        if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
        await client.invalidateQueries({ queryKey: preferencesQuery.queryKey });
        throw new Error(t("conflict"));
      }
      return true;
    }, t("saved"));
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      <Panel title={t("told")}>
        <p className={stored.mail_ready ? "m-0 text-xs text-text-3" : "m-0 text-xs text-high"}>
          {stored.mail_ready ? t("mailTo", { address: stored.mail_to ?? "" }) : t("mailOff")}
        </p>
        <EventTable values={values} onChange={setEvent} />
      </Panel>
      <Details values={values} set={set} />
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {t("save")}
      </Button>
    </form>
  );
}

function EventTable({
  values,
  onChange,
}: {
  values: NotificationPreferences;
  onChange: (name: EventName, part: Partial<Wish>) => void;
}) {
  const t = useText(text);
  const e = useText(eventText);
  const mails = [
    { value: "none", label: t("mailNone") },
    { value: "immediate", label: t("mailNow") },
    { value: "digest", label: t("mailDigest") },
  ] as const;
  return (
    <table className="mt-2 w-full border-collapse text-sm">
      <thead>
        <tr className="text-left text-xs text-text-3">
          <th className="py-2 pr-3 font-medium">{t("event")}</th>
          <th className="px-3 py-2 text-center font-medium">{t("inApp")}</th>
          <th className="py-2 pl-3 font-medium">{t("byMail")}</th>
        </tr>
      </thead>
      <tbody>
        {EVENTS.map((name) => {
          const choice = wish(values, name);
          return (
            <tr key={name} className="border-t border-line">
              <th scope="row" className="py-1.5 pr-3 text-left font-normal">
                {e(name)}
              </th>
              <td className="px-3 py-1.5">
                <span className="flex justify-center">
                  <Checkbox
                    label={`${e(name)}: ${t("inApp")}`}
                    checked={choice.app}
                    onChange={(app) => onChange(name, { app })}
                  />
                </span>
              </td>
              <td className="py-1.5 pl-3">
                <Select<string>
                  label={`${e(name)}: ${t("byMail")}`}
                  value={choice.mail}
                  onChange={(mail) => onChange(name, { mail })}
                  options={mails}
                  className="w-32"
                />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Details({
  values,
  set,
}: {
  values: NotificationPreferences;
  set: (part: Partial<NotificationPreferences>) => void;
}) {
  const t = useText(text);
  const u = useText(uiText);
  const { digest, quiet } = values;
  const all = useMemo(() => zones(values.zone), [values.zone]);
  const time = (value: string, label: string, onChange: (value: string) => void) => (
    <Field label={label}>
      {(ids) => (
        <Input
          {...ids}
          type="time"
          required
          value={value}
          onChange={(event) => onChange(event.target.value)}
          className="!w-32"
        />
      )}
    </Field>
  );
  return (
    <div className="grid gap-4 md:grid-cols-2">
      <Panel title={t("preferences")}>
        <div className="flex flex-col gap-4">
          <Field label={t("alertsFrom")}>
            {(ids) => (
              <Select<string>
                {...ids}
                label={t("alertsFrom")}
                value={values.alert_severity_min}
                onChange={(alert_severity_min) => set({ alert_severity_min })}
                options={SEVERITIES.map((value) => ({ value, label: u(value) }))}
                className="w-full"
              />
            )}
          </Field>
          <LanguageField value={values.language} onChange={(language) => set({ language })} />
          <Field label={t("zone")}>
            {(ids) => (
              <>
                <Input
                  {...ids}
                  list="zones"
                  required
                  value={values.zone}
                  onChange={(event) => set({ zone: event.target.value })}
                />
                <datalist id="zones">
                  {all.map((zone) => (
                    <option key={zone} value={zone} />
                  ))}
                </datalist>
              </>
            )}
          </Field>
        </div>
      </Panel>
      <Panel title={t("mails")}>
        <div className="flex flex-col gap-4">
          <span className="flex items-center justify-between gap-3 text-sm">
            <span className="text-text-2">{t("quietHint")}</span>
            <Switch
              label={t("quiet")}
              checked={Boolean(quiet)}
              onChange={(on) => set({ quiet: on ? { from: "22:00", to: "07:00", except_critical: true } : null })}
            />
          </span>
          {quiet && (
            <>
              <div className="flex gap-4">
                {time(quiet.from, t("from"), (from) => set({ quiet: { ...quiet, from } }))}
                {time(quiet.to, t("to"), (to) => set({ quiet: { ...quiet, to } }))}
              </div>
              <span className="flex items-center gap-2.5 text-sm">
                <Checkbox
                  label={t("exceptCritical")}
                  checked={quiet.except_critical}
                  onChange={(except_critical) => set({ quiet: { ...quiet, except_critical } })}
                />
                {t("exceptCritical")}
              </span>
            </>
          )}
          <div className="flex items-end gap-4">
            <Field label={t("digest")}>
              {(ids) => (
                <Select<string>
                  {...ids}
                  label={t("digest")}
                  value={digest.every}
                  onChange={(every) => set({ digest: { ...digest, every } })}
                  options={[
                    { value: "hour", label: t("hourly") },
                    { value: "day", label: t("daily") },
                  ]}
                  className="w-36"
                />
              )}
            </Field>
            {digest.every === "day" && time(digest.at, t("at"), (at) => set({ digest: { ...digest, at } }))}
          </div>
        </div>
      </Panel>
    </div>
  );
}
