import { useQuery } from "@tanstack/react-query";
import { Flag, Tag, UserRound } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useBulk } from "@/app/bulk";
import { peopleQuery } from "@/app/people";
import { useText } from "@/app/preferences";
import { useSession } from "@/app/session";
import { SEVERITIES } from "@/ui/badge";
import { BulkBar } from "@/ui/bulk-bar";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { NOTHING, type Selection } from "@/ui/grid/column";
import { Menu, MenuItem, MenuLabel, MenuLine } from "@/ui/menu";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { type Incident, incidentQuery, type Status } from "./data";
import { Resolve } from "./resolve";
import type { IncidentSearch } from "./search";
import { text } from "./strings";

type Change = Schema<"IncidentBulkChange">;
const TARGETS = ["triaged", "contained", "resolved", "closed", "reopened"] as const;

/** Tags to add to many and to take from them. */
function Tags({ open, onClose, onDo }: { open: boolean; onClose: () => void; onDo: (change: Change) => void }) {
  const t = useText(text);
  const [add, setAdd] = useState("");
  const [remove, setRemove] = useState("");
  const words = (value: string) => value.split(/[\s,]+/).filter(Boolean);
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={t("tags")}
      footer={
        <Button
          look="primary"
          disabled={!add.trim() && !remove.trim()}
          onClick={() => onDo({ tag: { add: words(add), remove: words(remove) } } as Change)}
        >
          {t("tags")}
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label={t("tagsAdd")}>
          {(ids) => <Input {...ids} value={add} onChange={(event) => setAdd(event.target.value)} />}
        </Field>
        <Field label={t("tagsRemove")}>
          {(ids) => <Input {...ids} value={remove} onChange={(event) => setRemove(event.target.value)} />}
        </Field>
      </div>
    </Dialog>
  );
}

interface Props {
  selection: Selection;
  rows: readonly Incident[];
  total: number;
  state: IncidentSearch;
  onSelect: (selection: Selection) => void;
}

/** What can be done with many incidents at once, with a way back. */
export function IncidentBulk({ selection, rows, total, state, onSelect }: Props) {
  const t = useText(text);
  const u = useText(ui);
  const session = useSession();
  const people = useQuery(peopleQuery);
  const [target, setTarget] = useState<Status | null>(null);
  const [tagging, setTagging] = useState(false);
  const bulk = useBulk(["incidents", "dashboard"], (token) =>
    must(api.POST("/api/v1/incidents/bulk/undo", { body: { undo: token } })),
  );
  const run = async (change: Change) => {
    setTarget(null);
    setTagging(false);
    const as_of = rows.reduce((most, incident) => Math.max(most, incident.seq), 0);
    const which = selection.all ? { filter: incidentQuery(state), ids: [] } : { ids: [...selection.ids] };
    await bulk.run(() => must(api.POST("/api/v1/incidents/bulk", { body: { ...which, as_of, change } })));
    onSelect(NOTHING);
  };
  const assign = (owner: string | null) => void run({ assign: { owner } } as Change);
  const move = (status: Status) => {
    if (status === "resolved" || status === "closed") setTarget(status);
    else void run({ status: { status } } as Change);
  };
  return (
    <>
      <BulkBar
        selection={selection}
        onSelect={onSelect}
        loaded={rows.length}
        total={total}
        busy={bulk.busy}
        changed={bulk.changed}
      >
        <Menu
          trigger={
            <Button icon={Flag} disabled={bulk.busy}>
              {t("changeStatus")}
            </Button>
          }
        >
          {TARGETS.map((status) => (
            <MenuItem key={status} onSelect={() => move(status)}>
              {t(status)}
            </MenuItem>
          ))}
          <MenuLine />
          <MenuLabel>{t("severity")}</MenuLabel>
          {SEVERITIES.map((severity) => (
            <MenuItem key={severity} onSelect={() => void run({ severity: { severity } } as Change)}>
              {u(severity)}
            </MenuItem>
          ))}
        </Menu>
        <Menu
          trigger={
            <Button icon={UserRound} disabled={bulk.busy}>
              {t("assign")}
            </Button>
          }
        >
          <MenuItem onSelect={() => assign("me")}>{t("toMe")}</MenuItem>
          {(people.data?.items ?? [])
            .filter((person) => person.id !== session.user)
            .map((person) => (
              <MenuItem key={person.id} onSelect={() => assign(person.id)}>
                {person.display_name || person.name}
              </MenuItem>
            ))}
          <MenuItem onSelect={() => assign(null)}>{t("nobody")}</MenuItem>
        </Menu>
        <Button icon={Tag} disabled={bulk.busy} onClick={() => setTagging(true)}>
          {t("tags")}
        </Button>
      </BulkBar>
      <Tags open={tagging} onClose={() => setTagging(false)} onDo={(change) => void run(change)} />
      <Resolve
        target={target}
        onClose={() => setTarget(null)}
        onDecide={(verdict, resolution) =>
          void run({ status: { status: target ?? "resolved", verdict, resolution } } as Change)
        }
      />
    </>
  );
}
