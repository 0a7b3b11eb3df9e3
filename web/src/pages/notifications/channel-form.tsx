import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { usePreferences, useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { type Channel, eventName, eventText } from "@/notifications/data";
import { SEVERITIES } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Checkbox, Field, Input, Select, Switch, Textarea } from "@/ui/form";
import { Confirm } from "@/ui/overlay";
import { text as uiText } from "@/ui/strings";
import { Segmented } from "@/ui/tabs";
import { LanguageField } from "./language-field";
import { text } from "./strings";

/** What a channel can be told of; the rest is about single persons. */
const CHANNEL_EVENTS = ["alert", "incident", "sla_warning", "sla_breach", "exporter_silent", "health"] as const;

interface Values {
  name: string;
  kind: string;
  enabled: boolean;
  to: string;
  url: string;
  language: string;
  events: readonly string[];
  severity_min: string;
  rules: readonly string[];
  entity: string;
  attack: string;
  personal: boolean;
}

function start(channel: Channel | null, language: string): Values {
  return {
    name: channel?.name ?? "",
    kind: channel?.kind ?? "mail",
    enabled: channel?.enabled ?? true,
    to: (channel?.to ?? []).join("\n"),
    url: channel?.url ?? "",
    language: channel?.language ?? language,
    events: channel?.events ?? ["alert", "incident"],
    severity_min: channel?.filter ? (channel.filter.severity_min ?? "") : "high",
    rules: channel?.filter?.rules ?? [],
    entity: channel?.filter?.entity ?? "",
    attack: channel?.filter?.attack ?? "",
    personal: channel?.personal ?? false,
  };
}

/** The body of a request: what belongs to the other kind is left out. */
function channelBody(values: Values): Schema<"ChannelBody"> {
  const { name, kind, enabled, events, personal } = values;
  const own =
    kind === "mail"
      ? { to: values.to.split(/[\s,;]+/).filter(Boolean), language: values.language }
      : { url: values.url.trim() };
  const filter = {
    severity_min: values.severity_min || null,
    rules: [...values.rules],
    entity: values.entity.trim() || null,
    attack: values.attack.trim() || null,
  };
  return { name: name.trim(), kind, enabled, events: [...events], filter, personal, ...own };
}

export function ChannelForm({
  channel,
  mailReady,
  onClose,
  onSecret,
}: {
  channel: Channel | null;
  mailReady: boolean;
  onClose: () => void;
  onSecret: (secret: string) => void;
}) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const { language } = usePreferences().preferences;
  // Whoever sees pseudonyms cannot have others told more.
  const open = useCan("personal:read");
  const [values, setValues] = useState(() => start(channel, language));
  const set = (part: Partial<Values>) => setValues((before) => ({ ...before, ...part }));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = channelBody(values);
    const saved = await act(async () => {
      try {
        if (!channel) return (await must(api.POST("/api/v1/notifications/channels", { body }))).secret ?? "";
        const change = { params: { path: { id: channel.id } }, body: { ...body, version: channel.version } };
        await must(api.PATCH("/api/v1/notifications/channels/{id}", change));
        return "";
      } catch (error) {
        if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
        await client.invalidateQueries({ queryKey: ["channels"] });
        throw new Error(t("conflict"));
      }
    }, t("saved"));
    if (saved === null) return;
    await client.invalidateQueries({ queryKey: ["channels"] });
    onClose();
    if (saved) onSecret(saved);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      {!channel && (
        <Segmented
          label={t("kind")}
          value={values.kind === "webhook" ? "webhook" : "mail"}
          onChange={(kind) => set({ kind })}
          tabs={[
            { value: "mail", label: t("mail") },
            { value: "webhook", label: t("webhook") },
          ]}
        />
      )}
      {values.kind === "mail" && !mailReady && <p className="m-0 text-sm text-high">{t("noMail")}</p>}
      <Field label={t("name")}>
        {(ids) => (
          <Input
            {...ids}
            required
            maxLength={80}
            value={values.name}
            onChange={(event) => set({ name: event.target.value })}
          />
        )}
      </Field>
      <Target values={values} set={set} />
      <fieldset className="m-0 border-0 p-0">
        <legend className="mb-2 p-0 text-sm font-medium">{t("events")}</legend>
        <Events values={values} set={set} />
      </fieldset>
      <Filter values={values} set={set} />
      <Turn label={t("enabled")} on={values.enabled} onTurn={(enabled) => set({ enabled })} />
      {open && (
        <Turn
          label={t("personal")}
          hint={t("personalHint")}
          on={values.personal}
          onTurn={(personal) => set({ personal })}
        />
      )}
      <div className="flex flex-wrap items-center justify-end gap-2">
        {channel && <Ends channel={channel} onClose={onClose} onSecret={onSecret} />}
        <Button type="submit" look="primary" busy={busy} disabled={values.events.length === 0}>
          {t(channel ? "save" : "make")}
        </Button>
      </div>
    </form>
  );
}

function Turn(props: { label: string; hint?: string; on: boolean; onTurn: (on: boolean) => void }) {
  return (
    <span className="flex items-start gap-3 text-sm">
      <Switch label={props.label} checked={props.on} onChange={props.onTurn} />
      <span>
        {props.label}
        {props.hint && <span className="block text-text-2">{props.hint}</span>}
      </span>
    </span>
  );
}

interface PartProps {
  values: Values;
  set: (part: Partial<Values>) => void;
}

function Target({ values, set }: PartProps) {
  const t = useText(text);
  if (values.kind === "webhook") {
    return (
      <Field label={t("url")} hint={t("urlHint")}>
        {(ids) => (
          <Input
            {...ids}
            type="url"
            required
            placeholder="https://"
            className="mono"
            value={values.url}
            onChange={(event) => set({ url: event.target.value })}
          />
        )}
      </Field>
    );
  }
  return (
    <div className="grid gap-4 sm:grid-cols-[1fr_160px]">
      <Field label={t("recipients")} hint={t("recipientsHint")}>
        {(ids) => (
          <Textarea
            {...ids}
            required
            rows={2}
            value={values.to}
            onChange={(event) => set({ to: event.target.value })}
          />
        )}
      </Field>
      <LanguageField value={values.language} onChange={(language) => set({ language })} />
    </div>
  );
}

function Events({ values, set }: PartProps) {
  const e = useText(eventText);
  return (
    <div className="grid gap-x-4 gap-y-2 sm:grid-cols-2">
      {CHANNEL_EVENTS.map((name) => (
        <span key={name} className="flex items-center gap-2.5 text-sm">
          <Checkbox
            label={eventName(name, e)}
            checked={values.events.includes(name)}
            onChange={(on) =>
              set({ events: on ? [...values.events, name] : values.events.filter((other) => other !== name) })
            }
          />
          {eventName(name, e)}
        </span>
      ))}
    </div>
  );
}

function Filter({ values, set }: PartProps) {
  const t = useText(text);
  const u = useText(uiText);
  return (
    <div className="grid items-end gap-4 sm:grid-cols-3">
      <Field label={t("severity")}>
        {(ids) => (
          <Select<string>
            {...ids}
            label={t("severity")}
            value={values.severity_min}
            onChange={(severity_min) => set({ severity_min })}
            options={[{ value: "", label: t("any") }, ...SEVERITIES.map((value) => ({ value, label: u(value) }))]}
            className="w-full"
          />
        )}
      </Field>
      <Field label={t("entity")}>
        {(ids) => <Input {...ids} value={values.entity} onChange={(event) => set({ entity: event.target.value })} />}
      </Field>
      <Field label={t("attack")}>
        {(ids) => (
          <Input
            {...ids}
            placeholder="t1046"
            className="mono"
            value={values.attack}
            onChange={(event) => set({ attack: event.target.value })}
          />
        )}
      </Field>
    </div>
  );
}

/** What cannot be taken back: a new secret, and the end of the channel. */
function Ends({
  channel,
  onClose,
  onSecret,
}: {
  channel: Channel;
  onClose: () => void;
  onSecret: (secret: string) => void;
}) {
  const t = useText(text);
  const client = useQueryClient();
  const { act } = useAction();
  const [asking, setAsking] = useState<"secret" | "delete" | null>(null);
  const params = { path: { id: channel.id } };
  return (
    <>
      {channel.kind === "webhook" && <Button onClick={() => setAsking("secret")}>{t("newSecret")}</Button>}
      <Button look="danger" onClick={() => setAsking("delete")}>
        {t("delete")}
      </Button>
      <Confirm
        open={asking === "secret"}
        onClose={() => setAsking(null)}
        title={t("newSecretTitle")}
        description={t("newSecretHint")}
        action={t("newSecret")}
        onConfirm={async () => {
          const made = await act(() => must(api.POST("/api/v1/notifications/channels/{id}/secret", { params })));
          if (!made) return;
          onClose();
          onSecret(made.secret);
        }}
      />
      <Confirm
        open={asking === "delete"}
        onClose={() => setAsking(null)}
        title={t("deleteTitle", { name: channel.name })}
        description={t("deleteHint")}
        action={t("delete")}
        danger
        onConfirm={async () => {
          const remove = () => must(api.DELETE("/api/v1/notifications/channels/{id}", { params })).then(() => true);
          const gone = await act(remove, t("deleted"));
          if (!gone) return;
          onClose();
          await client.invalidateQueries({ queryKey: ["channels"] });
        }}
      />
    </>
  );
}
