import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { labelsOf } from "@/pages/hosts/labels";
import { Button, IconButton } from "@/ui/button";
import { Field, Input, Switch } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Table } from "@/ui/table";
import { settingsQuery } from "./data";
import { settingsText } from "./settings-strings";

type Stored = Schema<"VulnerabilitySettings">;
const RATINGS = ["critical", "high", "medium", "low", "exploited"] as const;
type Days = `${(typeof RATINGS)[number]}_days`;
/** A row of the table: the first one is of all hosts. */
type Row = { label: string | null } & Partial<Record<Days, number | null>>;
const LABELS = ["critical_hosts", "minor_hosts", "internet_hosts"] as const;

const whole = (typed: string) => (typed.trim() === "" ? null : Math.max(0, Math.round(Number(typed)) || 0));

/** Deadlines, what hosts are worth, and who may approve. */
export function VulnerabilitySettings() {
  const query = useQuery(settingsQuery);
  return <Loaded query={query}>{(stored) => <Form key={stored.version} stored={stored} />}</Loaded>;
}

/** The settings as they are edited: days in rows, labels as they are typed. */
function useDraft(stored: Stored) {
  const [rows, setRows] = useState<Row[]>(() => [
    { label: null, ...Object.fromEntries(RATINGS.map((rating) => [`${rating}_days`, stored[`${rating}_days`]])) },
    ...(stored.deadlines ?? []),
  ]);
  const [labels, setLabels] = useState(
    () => Object.fromEntries(LABELS.map((name) => [name, stored[name].join(", ")])) as Record<string, string>,
  );
  const [own, setOwn] = useState(stored.own_approval);
  const [all, ...others] = rows;
  const body: Stored = {
    version: stored.version,
    ...(Object.fromEntries(RATINGS.map((rating) => [`${rating}_days`, all?.[`${rating}_days`] ?? 0])) as Record<
      Days,
      number
    >),
    ...(Object.fromEntries(LABELS.map((name) => [name, labelsOf(labels[name] ?? "")])) as Record<
      (typeof LABELS)[number],
      string[]
    >),
    deadlines: others.map((row) => ({ ...row, label: row.label ?? "" })),
    own_approval: own,
  };
  return { rows, setRows, labels, setLabels, own, setOwn, body };
}

type Draft = ReturnType<typeof useDraft>;

function Deadlines({ draft, may }: { draft: Draft; may: boolean }) {
  const t = useText(settingsText);
  const [label, setLabel] = useState("");
  const { rows, setRows } = draft;
  const name = (row: Row) => row.label ?? t("allHosts");
  const change = (label: string | null, part: Partial<Row>) =>
    setRows((before) => before.map((row) => (row.label === label ? { ...row, ...part } : row)));
  const add = () => {
    const fresh = label.trim();
    if (fresh === "" || rows.some((row) => row.label === fresh)) return;
    setRows((before) => [...before, { label: fresh }]);
    setLabel("");
  };
  return (
    <Panel title={t("deadlines")} flush>
      <p className="m-0 px-4 pb-2 text-sm text-text-2">{t("deadlinesHint")}</p>
      <Table
        label={t("deadlines")}
        rows={rows}
        rowId={(row) => row.label ?? ""}
        heads={[
          { id: "label", label: t("of"), cell: (row) => <span className="font-medium">{name(row)}</span> },
          ...RATINGS.map((rating) => ({
            id: rating,
            label: t(rating),
            cell: (row: Row) => (
              <Input
                type="number"
                min={0}
                max={3650}
                disabled={!may}
                aria-label={t("daysOf", { what: t(rating), whom: name(row) })}
                placeholder={row.label === null ? "" : String(rows[0]?.[`${rating}_days`] ?? "")}
                value={row[`${rating}_days`] ?? ""}
                onChange={(event) => change(row.label, { [`${rating}_days`]: whole(event.target.value) })}
                className="!w-20"
              />
            ),
          })),
          {
            id: "remove",
            label: t("remove"),
            quiet: true,
            end: true,
            cell: (row) =>
              may &&
              row.label !== null && (
                <IconButton
                  label={t("removeOf", { whom: name(row) })}
                  icon={Trash2}
                  look="plain"
                  onClick={() => setRows((before) => before.filter((one) => one.label !== row.label))}
                />
              ),
          },
        ]}
      />
      {may && (
        <div className="flex max-w-md items-end gap-2 p-4">
          <div className="flex-1">
            <Field label={t("newLabel")}>
              {(ids) => (
                <Input
                  {...ids}
                  maxLength={64}
                  value={label}
                  onChange={(event) => setLabel(event.target.value)}
                  onKeyDown={(event) => {
                    if (event.key !== "Enter") return;
                    event.preventDefault();
                    add();
                  }}
                />
              )}
            </Field>
          </div>
          <Button icon={Plus} disabled={label.trim() === ""} onClick={add}>
            {t("add")}
          </Button>
        </div>
      )}
    </Panel>
  );
}

function Form({ stored }: { stored: Stored }) {
  const t = useText(settingsText);
  const u = useText(ui);
  const client = useQueryClient();
  const may = useCan("vulnerabilities:approve");
  const { busy, act } = useAction();
  const draft = useDraft(stored);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    await act(async () => {
      try {
        const kept = await must(api.PUT("/api/v1/vulnerability-settings", { body: draft.body }));
        client.setQueryData(settingsQuery.queryKey, kept);
        await client.invalidateQueries({ queryKey: ["vulnerabilities"] });
        return true;
      } catch (error) {
        if (!(error instanceof Problem) || error.kind !== "version-conflict") throw error;
        await client.invalidateQueries({ queryKey: settingsQuery.queryKey });
        throw new Error(t("conflict"));
      }
    }, t("saved"));
  };
  return (
    <form onSubmit={(event) => void save(event)} className="flex max-w-[1000px] flex-col gap-4">
      <Deadlines draft={draft} may={may} />
      <Panel title={t("hosts")}>
        <div className="flex flex-col gap-4">
          {LABELS.map((name) => (
            <Field key={name} label={t(name)} hint={t(`${name}_hint`)}>
              {(ids) => (
                <Input
                  {...ids}
                  disabled={!may}
                  value={draft.labels[name] ?? ""}
                  onChange={(event) => draft.setLabels((before) => ({ ...before, [name]: event.target.value }))}
                />
              )}
            </Field>
          ))}
        </div>
      </Panel>
      <Panel title={t("approval")}>
        <span className="flex items-center gap-3 text-sm">
          <Switch label={t("ownApproval")} disabled={!may} checked={draft.own} onChange={draft.setOwn} />
          {t("ownApproval")}
        </span>
      </Panel>
      {may && (
        <Button type="submit" look="primary" busy={busy} className="self-end">
          {u("save")}
        </Button>
      )}
    </form>
  );
}
