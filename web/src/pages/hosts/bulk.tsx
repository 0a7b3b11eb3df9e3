import { useNavigate } from "@tanstack/react-router";
import { DatabaseZap, GitCompareArrows, Play, ShieldOff, Tags, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must } from "@/api/client";
import { allPages, useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { Give } from "@/pages/commands/give";
import { text as commands } from "@/pages/commands/strings";
import { HOSTS_MAX } from "@/pages/host-compare/search";
import { ASKED_STATUSES, type LiveQuerySearch } from "@/pages/live-query/search";
import { text as liveQuery } from "@/pages/live-query/strings";
import { BulkBar } from "@/ui/bulk-bar";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { NOTHING, type Selection } from "@/ui/grid/column";
import { Menu, MenuItem, MenuLine } from "@/ui/menu";
import { Confirm, Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { done } from "@/ui/toast";
import { type Host, type HostFigures, hostsQuery } from "./data";
import { labelsOf } from "./labels";
import type { HostsSearch } from "./search";
import { text } from "./strings";

const said = catalogue({
  changed: ["{n} {n|host|hosts} changed", "{n} {n|Host|Hosts} geändert"],
  unchanged: ["They were like that already", "Sie waren schon so"],
  undone: ["{n} {n|host is|hosts are} as before", "{n} {n|Host ist|Hosts sind} wie zuvor"],
});

/** One change: labels, or what becomes of hosts that are removed. */
type Change = { labels: Record<string, string[]> } | { how: "revoke" | "delete" };
/** Hosts of one step: small enough to show progress, large enough to be quick. */
const STEP = 100;

/** What gives a label, and what takes it back. */
const LABELS = {
  addTag: ["add_tags", "remove_tags"],
  removeTag: ["remove_tags", "add_tags"],
  addGroup: ["add_groups", "remove_groups"],
  removeGroup: ["remove_groups", "add_groups"],
} as const;
type Labelling = keyof typeof LABELS;

/** One step; the ids of those that are different now. */
async function one(ids: string[], change: Change): Promise<string[]> {
  if ("how" in change) {
    return (await must(api.POST("/api/v1/hosts/removal", { body: { ids, how: change.how } }))).changed;
  }
  return (await must(api.POST("/api/v1/hosts/labels", { body: { hosts: { ids }, ...change.labels } as never }))).ids;
}

/** Changes hosts step by step and counts as it goes. */
function useSteps() {
  const t = useText(said);
  const u = useText(ui);
  const { act, busy } = useAction();
  const refresh = useFreshen("hosts", "host-events");
  const [changed, setChanged] = useState(0);
  const [running, setRunning] = useState(false);

  const steps = async (ids: readonly string[], change: Change): Promise<string[]> => {
    const all: string[] = [];
    for (let at = 0; at < ids.length; at += STEP) {
      const some = ids.slice(at, at + STEP);
      const answer = await act(() => one(some, change));
      if (!answer) break;
      all.push(...answer);
      setChanged(all.length);
    }
    setChanged(0);
    refresh();
    return all;
  };
  /** The opposite takes back what was changed, and nothing else. */
  const run = async (which: () => Promise<readonly string[]>, change: Change, opposite?: Change) => {
    setRunning(true);
    try {
      const ids = await act(which);
      if (!ids) return;
      const all = await steps(ids, change);
      const undo = async () => done(t("undone", { n: (await steps(all, opposite as Change)).length }));
      const way = opposite && all.length > 0 ? { label: u("undo"), run: () => void undo() } : undefined;
      done(all.length > 0 ? t("changed", { n: all.length }) : t("unchanged"), way);
    } finally {
      setRunning(false);
    }
  };
  return { busy: busy || running, changed, run };
}

interface Props {
  selection: Selection;
  rows: readonly Host[];
  total: number;
  state: HostsSearch;
  figures: HostFigures | undefined;
  onSelect: (selection: Selection) => void;
}

/** Hosts that an address can name one by one. */
const NAMED_MAX = 100;

/** The address of the page that asks the selected hosts; null where an address cannot say who they are. */
export function searchOf(selection: Selection, state: HostsSearch): LiveQuerySearch | null {
  if (!selection.all) return selection.ids.size <= NAMED_MAX ? { hosts: [...selection.ids].join(",") } : null;
  const { sort: _, trouble, status, ...rest } = state;
  const known = ASKED_STATUSES.find((one) => one === status);
  if (trouble !== undefined || status !== known) return null;
  return { ...rest, ...(known ? { status: known } : {}) };
}

/** What can be done with many hosts at once, over all pages. */
export function HostBulk({ selection, rows, total, state, figures, onSelect }: Props) {
  const t = useText(text);
  const navigate = useNavigate();
  const c = useText(commands);
  const l = useText(liveQuery);
  const may = useCan("hosts:command");
  const manage = useCan("hosts:manage");
  const queries = useCan("hosts:query");
  const [giving, setGiving] = useState(false);
  const bulk = useSteps();
  const [labelling, setLabelling] = useState<Labelling | null>(null);
  const [asking, setAsking] = useState<"revoke" | "delete" | null>(null);
  const count = selection.all ? total : selection.ids.size;

  const asked = searchOf(selection, state);
  const which = async (): Promise<readonly string[]> => {
    if (!selection.all) return [...selection.ids];
    const ids: string[] = [];
    for await (const page of allPages(hostsQuery({ ...state, sort: "name" }))) ids.push(...page.map(({ id }) => id));
    return ids;
  };
  const run = async (change: Change, opposite?: Change) => {
    await bulk.run(which, change, opposite);
    onSelect(NOTHING);
  };
  const label = (what: Labelling, labels: readonly string[]) => {
    const [there, back] = LABELS[what];
    return run({ labels: { [there]: [...labels] } }, { labels: { [back]: [...labels] } });
  };
  const compare = () => {
    if (!selection.all) void navigate({ to: "/hosts/compare", search: { hosts: [...selection.ids].join(",") } });
  };
  const { busy } = bulk;
  return (
    <>
      <BulkBar
        selection={selection}
        onSelect={onSelect}
        loaded={rows.length}
        total={total}
        busy={busy}
        changed={bulk.changed}
      >
        {count >= 2 && count <= HOSTS_MAX && !selection.all && (
          <Button icon={GitCompareArrows} disabled={busy} onClick={compare}>
            {t("compare")}
          </Button>
        )}
        {may && (
          <Button icon={Play} disabled={busy} onClick={() => setGiving(true)}>
            {c("give")}
          </Button>
        )}
        {queries && asked && (
          <Button
            icon={DatabaseZap}
            disabled={busy}
            onClick={() => void navigate({ to: "/live-query", search: asked })}
          >
            {l("askHosts")}
          </Button>
        )}
        {manage && (
          <Menu
            trigger={
              <Button icon={Tags} disabled={busy}>
                {t("label")}
              </Button>
            }
          >
            <MenuItem onSelect={() => setLabelling("addTag")}>{t("addTag")}</MenuItem>
            <MenuItem onSelect={() => setLabelling("removeTag")}>{t("removeTag")}</MenuItem>
            <MenuLine />
            <MenuItem onSelect={() => setLabelling("addGroup")}>{t("addGroup")}</MenuItem>
            <MenuItem onSelect={() => setLabelling("removeGroup")}>{t("removeGroup")}</MenuItem>
          </Menu>
        )}
        {manage && (
          <Button icon={ShieldOff} disabled={busy} onClick={() => setAsking("revoke")}>
            {t("revoke")}
          </Button>
        )}
        {manage && (
          <Button icon={Trash2} disabled={busy} onClick={() => setAsking("delete")}>
            {t("delete")}
          </Button>
        )}
      </BulkBar>
      <Give
        open={giving}
        onClose={() => setGiving(false)}
        count={count}
        hosts={async () => ({ ids: [...(await which())] })}
      />
      <LabelDialog
        what={labelling}
        count={count}
        known={Object.keys((labelling?.endsWith("Tag") ? figures?.tags : figures?.groups) ?? {})}
        onClose={() => setLabelling(null)}
        onApply={(what, labels) => {
          setLabelling(null);
          void label(what, labels);
        }}
      />
      <Confirm
        open={asking === "revoke"}
        onClose={() => setAsking(null)}
        title={t("revokeTitle", { n: count })}
        description={t("revokeHint")}
        action={t("revokeAction")}
        danger
        onConfirm={() => void run({ how: "revoke" })}
      />
      <Confirm
        open={asking === "delete"}
        onClose={() => setAsking(null)}
        title={t("deleteTitle", { n: count })}
        description={t("deleteHint")}
        action={t("deleteAction")}
        danger
        onConfirm={() => void run({ how: "delete" })}
      />
    </>
  );
}

function LabelDialog({
  what,
  count,
  known,
  onClose,
  onApply,
}: {
  what: Labelling | null;
  count: number;
  known: readonly string[];
  onClose: () => void;
  onApply: (what: Labelling, labels: readonly string[]) => void;
}) {
  const t = useText(text);
  const [typed, setTyped] = useState("");
  const labels = labelsOf(typed);
  const close = () => {
    setTyped("");
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!what || labels.length === 0) return;
    onApply(what, labels);
    setTyped("");
  };
  const field = what?.endsWith("Tag") ? t("tags") : t("groups");
  return (
    <Dialog open={what !== null} onClose={close} title={what ? t(what).replace(/\s?…$/, "") : ""}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label={field} hint={t("labelHint")}>
          {(ids) => (
            <Input
              {...ids}
              autoFocus
              list="known-labels"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
        <datalist id="known-labels">
          {known.map((label) => (
            <option key={label} value={label} />
          ))}
        </datalist>
        <Button type="submit" look="primary" disabled={labels.length === 0} className="self-end">
          {t("apply", { n: count })}
        </Button>
      </form>
    </Dialog>
  );
}
