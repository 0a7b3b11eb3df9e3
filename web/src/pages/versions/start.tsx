import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Plus, X } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { groupsQuery } from "@/pages/groups/data";
import { Button, IconButton } from "@/ui/button";
import { Checkbox, Field, Input, Select } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { type StageBody, USUAL_STAGES } from "./data";
import { text } from "./strings";

const STAGES_MAX = 16;
const MEGABYTE = 1_000_000;

interface Props {
  open: boolean;
  onClose: () => void;
  versions: readonly string[];
}

/** Says which release goes to which hosts, in which stages. */
export function StartRollout({ open, onClose, versions }: Props) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("startTitle")} description={t("startLead")} wide>
      {open && <StartForm onClose={onClose} versions={versions} />}
    </Dialog>
  );
}

function StageFields({
  number,
  stage,
  groups,
  onChange,
  onRemove,
}: {
  number: number;
  stage: StageBody;
  groups: readonly string[];
  onChange: (part: Partial<StageBody>) => void;
  onRemove: (() => void) | null;
}) {
  const t = useText(text);
  return (
    <fieldset className="m-0 grid min-w-0 items-end gap-3 rounded-m border border-line p-3 sm:grid-cols-[1fr_1.4fr_90px_130px_auto]">
      <legend className="px-1 text-xs font-medium text-text-3">{t("stageN", { n: number })}</legend>
      <Field label={t("group")}>
        {(ids) => (
          <Select
            {...ids}
            label={t("group")}
            value={stage.group ?? ""}
            onChange={(group) => onChange({ group: group || null })}
            options={[{ value: "", label: t("anyGroup") }, ...groups.map((name) => ({ value: name, label: name }))]}
          />
        )}
      </Field>
      <Field label={t("filter")}>
        {(ids) => (
          <Input
            {...ids}
            className="mono"
            placeholder="tag = web"
            value={stage.filter ?? ""}
            onChange={(event) => onChange({ filter: event.target.value || null })}
          />
        )}
      </Field>
      <Field label={t("percent")}>
        {(ids) => (
          <Input
            {...ids}
            type="number"
            min={1}
            max={100}
            required
            value={stage.percent ?? 100}
            onChange={(event) => onChange({ percent: Number(event.target.value) })}
          />
        )}
      </Field>
      <Field label={t("wait")}>
        {(ids) => (
          <Input
            {...ids}
            type="number"
            min={0}
            max={129_600}
            required
            value={Math.round((stage.wait_s ?? 0) / 60)}
            onChange={(event) => onChange({ wait_s: Number(event.target.value) * 60 })}
          />
        )}
      </Field>
      <IconButton label={t("removeStage", { n: number })} icon={X} disabled={!onRemove} onClick={() => onRemove?.()} />
    </fieldset>
  );
}

/** The rules of a rollout, as they are typed. */
interface Rules {
  success: number;
  within: number;
  rate: number;
  atOnce: number;
  rollBack: boolean;
  again: boolean;
}
const USUAL: Rules = { success: 95, within: 30, rate: 2, atOnce: 50, rollBack: true, again: false };

function RuleFields({ rules, onChange }: { rules: Rules; onChange: (part: Partial<Rules>) => void }) {
  const t = useText(text);
  const number = (name: "success" | "within" | "rate" | "atOnce", label: string, min: number, max: number) => (
    <Field label={label}>
      {(ids) => (
        <Input
          {...ids}
          type="number"
          step={name === "rate" ? "any" : 1}
          min={min}
          max={max}
          required
          value={rules[name]}
          onChange={(event) => onChange({ [name]: Number(event.target.value) })}
        />
      )}
    </Field>
  );
  const flag = (name: "rollBack" | "again", label: string) => (
    <span className="flex items-center gap-2.5 text-sm">
      <Checkbox label={label} checked={rules[name]} onChange={(on) => onChange({ [name]: on })} />
      <span aria-hidden>{label}</span>
    </span>
  );
  return (
    <details>
      <summary className="cursor-pointer text-sm text-text-2">{t("more")}</summary>
      <div className="mt-3 grid gap-4 sm:grid-cols-2">
        {number("success", t("successPercent"), 0, 100)}
        {number("within", t("within"), 1, 43_200)}
        {number("rate", t("rateField"), 0, 10_000)}
        {number("atOnce", t("atOnceField"), 1, 20_000)}
        {flag("rollBack", t("rollBack"))}
        {flag("again", t("again"))}
      </div>
    </details>
  );
}

function StartForm({ onClose, versions }: Omit<Props, "open">) {
  const t = useText(text);
  const navigate = useNavigate();
  const refresh = useFreshen("rollouts", "hosts");
  const { busy, act } = useAction();
  const groups = useQuery(groupsQuery);
  const [version, setVersion] = useState(versions[0] ?? "");
  // A stage has no name of its own; its number here stays with it while others come and go.
  const [stages, setStages] = useState(() => USUAL_STAGES.map((stage, key) => ({ key, stage })));
  const [rules, setRules] = useState(USUAL);
  const start = async () => {
    const made = await act(() =>
      must(
        api.POST("/api/v1/rollouts", {
          body: {
            release_version: version,
            stages: stages.map(({ stage }) => stage),
            success_percent: rules.success,
            within_s: rules.within * 60,
            bytes_per_s: Math.round(rules.rate * MEGABYTE),
            at_once: rules.atOnce,
            roll_back: rules.rollBack,
            again: rules.again,
          },
        }),
      ),
    );
    if (!made) return;
    refresh();
    onClose();
    await navigate({ to: "/rollouts/$id", params: { id: made.id } });
  };
  const change = (key: number, part: Partial<StageBody>) =>
    setStages((all) => all.map((one) => (one.key === key ? { key, stage: { ...one.stage, ...part } } : one)));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
      className="flex flex-col gap-4"
    >
      <Field label={t("version")}>
        {(ids) => (
          <Select
            {...ids}
            label={t("version")}
            value={version}
            onChange={setVersion}
            options={versions.map((one) => ({ value: one, label: one }))}
          />
        )}
      </Field>
      {stages.map(({ key, stage }, index) => (
        <StageFields
          key={key}
          number={index + 1}
          stage={stage}
          groups={groups.data?.items.map(({ name }) => name) ?? []}
          onChange={(part) => change(key, part)}
          onRemove={stages.length > 1 ? () => setStages((all) => all.filter((one) => one.key !== key)) : null}
        />
      ))}
      <Button
        look="quiet"
        icon={Plus}
        disabled={stages.length >= STAGES_MAX}
        className="self-start"
        onClick={() =>
          setStages((all) => [
            ...all,
            { key: Math.max(...all.map(({ key }) => key)) + 1, stage: { percent: 100, wait_s: 0 } },
          ])
        }
      >
        {t("addStage")}
      </Button>
      <RuleFields rules={rules} onChange={(part) => setRules((before) => ({ ...before, ...part }))} />
      <Button type="submit" look="primary" busy={busy} disabled={!version} className="self-end">
        {t("startAction")}
      </Button>
    </form>
  );
}
