import { useQueryClient } from "@tanstack/react-query";
import { AlarmClock, CircleCheck, Hand, ShieldAlert, UserRound, X } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { CloseDialog } from "@/pages/alert/triage";
import { CreateIncident } from "@/pages/incidents/create";
import { Button, IconButton } from "@/ui/button";
import { isSelected, type Selection } from "@/ui/grid/column";
import { Menu, MenuItem } from "@/ui/menu";
import { text as ui } from "@/ui/strings";
import { done } from "@/ui/toast";
import { type Alert, alertQuery } from "./data";
import type { AlertSearch } from "./search";

const text = catalogue({
  selected: ["{n} selected", "{n} ausgewählt"],
  allSelected: ["All {n} that match are selected", "Alle {n} passenden sind ausgewählt"],
  selectAll: ["Select all {n} that match", "Alle {n} passenden auswählen"],
  acknowledge: ["Acknowledge", "Übernehmen"],
  assign: ["Assign to me", "Mir zuweisen"],
  close: ["Close…", "Schließen …"],
  snooze: ["Snooze", "Zurückstellen"],
  hour: ["For an hour", "Für eine Stunde"],
  day: ["For a day", "Für einen Tag"],
  week: ["For a week", "Für eine Woche"],
  incident: ["Make incident…", "Vorfall anlegen …"],
  clear: ["Clear selection", "Auswahl aufheben"],
  changed: ["{n} {n|alert|alerts} changed", "{n} {n|Alarm|Alarme} geändert"],
  progress: ["{n} changed so far…", "Bisher {n} geändert …"],
  undone: ["{n} {n|alert is|alerts are} as before", "{n} {n|Alarm ist|Alarme sind} wie zuvor"],
  kept: [
    "{n} {n|alert is|alerts are} as before; {kept} changed since and were left alone",
    "{n} {n|Alarm ist|Alarme sind} wie zuvor; {kept} seither geändert und belassen",
  ],
});

type Change = Schema<"BulkChange">;

const HOUR_MS = 3_600_000;

interface Props {
  selection: Selection;
  rows: readonly Alert[];
  total: number;
  state: AlertSearch;
  onSelect: (selection: Selection) => void;
}

/** What can be done with many alerts at once, over all pages, with a way back. */
export function BulkBar({ selection, rows, total, state, onSelect }: Props) {
  const t = useText(text);
  const u = useText(ui);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const mayOpen = useCan("incidents:write");
  const [opening, setOpening] = useState(false);
  const [closing, setClosing] = useState(false);
  const [changed, setChanged] = useState(0);
  const count = selection.all ? total : selection.ids.size;
  if (count === 0) return null;

  const undo = async (tokens: readonly string[]) => {
    let back = 0;
    let kept = 0;
    for (const token of tokens) {
      const answer = await act(() => must(api.POST("/api/v1/alerts/bulk/undo", { body: { undo: token } })));
      back += answer?.changed ?? 0;
      kept += answer?.kept ?? 0;
    }
    void client.invalidateQueries({ queryKey: ["alerts"] });
    done(kept > 0 ? t("kept", { n: back, kept }) : t("undone", { n: back }));
  };

  const run = async (change: Change) => {
    // What changed after this was not seen when it was decided, and is left alone.
    const as_of = rows.reduce((most, alert) => Math.max(most, alert.seq), 0);
    const which = selection.all ? { filter: alertQuery(state), ids: [] } : { ids: [...selection.ids] };
    const tokens: string[] = [];
    let sum = 0;
    for (;;) {
      const answer = await act(() => must(api.POST("/api/v1/alerts/bulk", { body: { ...which, as_of, change } })));
      if (!answer) break;
      sum += answer.changed;
      setChanged(sum);
      if (answer.undo) tokens.push(answer.undo);
      if (!answer.more || answer.changed === 0) break;
    }
    setChanged(0);
    onSelect({ all: false, ids: new Set() });
    void client.invalidateQueries({ queryKey: ["alerts"] });
    if (sum > 0)
      done(
        t("changed", { n: sum }),
        tokens.length > 0 ? { label: u("undo"), run: () => void undo(tokens) } : undefined,
      );
  };
  const snooze = (ms: number) => void run({ snooze: { until: new Date(Date.now() + ms).toISOString() } } as Change);
  const offerAll = !selection.all && selection.ids.size === rows.length && total > rows.length;
  return (
    <div className="pop mx-3 mb-3 flex flex-wrap items-center gap-2 rounded-l border border-accent/40 bg-accent-soft px-3 py-2 text-sm md:mx-6">
      <span role="status" className="num font-medium">
        {busy && changed > 0
          ? t("progress", { n: changed })
          : t(selection.all ? "allSelected" : "selected", { n: count })}
      </span>
      {offerAll && (
        <Button look="quiet" className="!text-accent" onClick={() => onSelect({ all: true })}>
          {t("selectAll", { n: total })}
        </Button>
      )}
      <span className="ml-auto flex flex-wrap gap-2">
        <Button icon={Hand} disabled={busy} onClick={() => void run({ acknowledge: {} } as Change)}>
          {t("acknowledge")}
        </Button>
        <Button icon={UserRound} disabled={busy} onClick={() => void run({ assign: { assignee: "me" } } as Change)}>
          {t("assign")}
        </Button>
        <Menu
          trigger={
            <Button icon={AlarmClock} disabled={busy}>
              {t("snooze")}
            </Button>
          }
        >
          <MenuItem onSelect={() => snooze(HOUR_MS)}>{t("hour")}</MenuItem>
          <MenuItem onSelect={() => snooze(24 * HOUR_MS)}>{t("day")}</MenuItem>
          <MenuItem onSelect={() => snooze(168 * HOUR_MS)}>{t("week")}</MenuItem>
        </Menu>
        <Button icon={CircleCheck} disabled={busy} onClick={() => setClosing(true)}>
          {t("close")}
        </Button>
        {mayOpen && !selection.all && (
          <Button icon={ShieldAlert} disabled={busy} onClick={() => setOpening(true)}>
            {t("incident")}
          </Button>
        )}
        <IconButton label={t("clear")} icon={X} onClick={() => onSelect({ all: false, ids: new Set() })} />
      </span>
      <CreateIncident
        open={opening}
        onClose={() => setOpening(false)}
        alerts={selection.all ? [] : [...selection.ids]}
        title={rows.find((alert) => isSelected(selection, alert.id))?.title ?? ""}
      />
      <CloseDialog
        open={closing}
        onClose={() => setClosing(false)}
        onDecide={async (verdict, reason) => {
          setClosing(false);
          await run({ close: { verdict, reason } } as Change);
        }}
      />
    </div>
  );
}
