import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Button } from "@/ui/button";
import { Checkbox, Field, Input, Select, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import {
  ACTIONS,
  type ActionForm,
  type Argument,
  actionForm,
  actionOf,
  isReady,
  type Preset,
  SPANS,
  type Values,
} from "./actions";
import type { Command } from "./data";
import { text } from "./strings";

type Hosts = Schema<"NewCommandBody">["hosts"];
const PARTS = ["processes", "maps", "files", "sockets", "persistence", "timeline"] as const;
const WAITS = { hour: 3_600, day: 86_400, week: 604_800 } as const;
type Wait = keyof typeof WAITS;

interface Props {
  open: boolean;
  onClose: () => void;
  /** Which hosts; asked for when it is needed, because a selection may be long. */
  hosts: () => Promise<Hosts>;
  count: number;
  preset?: Preset | undefined;
  /** Where to go on once it was given; to the page of the command if nothing is said. */
  onGiven?: ((command: Command) => void) | undefined;
}

/** Has hosts do something: first what and with which arguments, then as a dry run or for real. */
export function Give({ open, onClose, ...props }: Props) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("giveTitle", { n: props.count })} wide>
      {open && <GiveForm onClose={onClose} {...props} />}
    </Dialog>
  );
}

function GiveForm({ onClose, hosts, count, preset, onGiven }: Omit<Props, "open">) {
  const t = useText(text);
  const navigate = useNavigate();
  const refresh = useFreshen("commands");
  const { busy, act } = useAction();
  const [kind, setKind] = useState(preset?.kind ?? "recheck");
  const [values, setValues] = useState<Values>(() => ({ seconds: String(SPANS.day), ...preset?.values }));
  const [reason, setReason] = useState("");
  const [wait, setWait] = useState<Wait>("hour");
  const form = actionForm(kind) ?? (ACTIONS[0] as ActionForm);
  const ready = isReady(form, values);
  const offered = preset ? ACTIONS.filter((one) => one.kind === preset.kind) : ACTIONS.filter((one) => !one.preset);
  const give = async (dry: boolean) => {
    const made = await act(async () => {
      const action = actionOf(form, values, preset?.fixed) as Record<string, never>;
      const body = { action, hosts: await hosts(), dry_run: dry, reason, wait_s: WAITS[wait] };
      return must(api.POST("/api/v1/commands", { body }));
    });
    if (!made) return;
    refresh();
    onClose();
    if (onGiven) onGiven(made);
    else await navigate({ to: "/commands/$id", params: { id: made.id } });
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) void give(form.danger === true);
      }}
      className="flex flex-col gap-4"
    >
      <Field label={t("what")} hint={t(form.hint as "recheckHint")}>
        {(ids) => (
          <Select
            {...ids}
            label={t("what")}
            value={kind}
            onChange={setKind}
            options={offered.map((one) => ({ value: one.kind, label: t(one.label as "recheck") }))}
          />
        )}
      </Field>
      {form.arguments.map((argument) => (
        <ArgumentField
          key={`${kind}-${argument.name}`}
          argument={argument}
          value={values[argument.name]}
          onChange={(value) => setValues((before) => ({ ...before, [argument.name]: value }))}
        />
      ))}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("reason")} hint={t("reasonHint")}>
          {(ids) => <Input {...ids} value={reason} onChange={(event) => setReason(event.target.value)} />}
        </Field>
        <Field label={t("wait")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("wait")}
              value={wait}
              onChange={setWait}
              options={(Object.keys(WAITS) as Wait[]).map((value) => ({ value, label: t(value) }))}
            />
          )}
        </Field>
      </div>
      <div className="flex flex-wrap items-center justify-end gap-2 border-t border-line pt-3">
        <span className="mr-auto max-w-80 text-xs text-text-3">{t("tryHint")}</span>
        <Button disabled={!ready} busy={busy} onClick={() => void give(true)}>
          {t("try")}
        </Button>
        <Button
          look={form.danger ? "danger" : "primary"}
          disabled={!ready}
          busy={busy}
          onClick={() => void give(false)}
        >
          {form.danger ? t("nowDanger", { n: count }) : t("now")}
        </Button>
      </div>
    </form>
  );
}

function ArgumentField({
  argument,
  value,
  onChange,
}: {
  argument: Argument;
  value: Values[string] | undefined;
  onChange: (value: Values[string]) => void;
}) {
  const t = useText(text);
  const format = useFormat();
  const label = t(argument.label as "pid");
  if (argument.kind === "flag") {
    return (
      <span className="flex items-center gap-2.5 text-sm">
        <Checkbox label={label} checked={value === true} onChange={onChange} />
        {label}
      </span>
    );
  }
  if (argument.kind === "parts") {
    const chosen = Array.isArray(value) ? (value as readonly string[]) : [];
    return (
      <fieldset className="m-0 border-0 p-0">
        <legend className="mb-2 p-0 text-sm font-medium">{label}</legend>
        <div className="grid gap-2 sm:grid-cols-3">
          {PARTS.map((part) => (
            <span key={part} className="flex items-center gap-2.5 text-sm">
              <Checkbox
                label={t(part)}
                checked={chosen.includes(part)}
                onChange={(on) => onChange(on ? [...chosen, part] : chosen.filter((other) => other !== part))}
              />
              {t(part)}
            </span>
          ))}
        </div>
      </fieldset>
    );
  }
  if (argument.kind === "span") {
    const offered = Object.entries(SPANS).map(([name, seconds]) => ({
      value: String(seconds),
      label: t(name as "hour"),
    }));
    // What was given before may have stood for any time.
    const given = String(value ?? SPANS.day);
    const own = offered.some((one) => one.value === given)
      ? []
      : [{ value: given, label: format.duration(Number(given)) }];
    return (
      <Field label={label}>
        {(ids) => <Select {...ids} label={label} value={given} onChange={onChange} options={[...own, ...offered]} />}
      </Field>
    );
  }
  if (argument.kind === "list" || argument.kind === "source" || argument.kind === "json") {
    const isList = argument.kind === "list";
    return (
      <Field label={label} hint={isList ? t("listHint") : ""}>
        {(ids) => (
          <Textarea
            {...ids}
            required={argument.required}
            spellCheck={false}
            rows={isList ? 3 : 8}
            className={isList ? "" : "mono"}
            value={String(value ?? "")}
            onChange={(event) => onChange(event.target.value)}
          />
        )}
      </Field>
    );
  }
  return (
    <Field label={label}>
      {(ids) => (
        <Input
          {...ids}
          required={argument.required}
          inputMode={argument.kind === "number" ? "numeric" : "text"}
          className="mono"
          value={String(value ?? "")}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}
