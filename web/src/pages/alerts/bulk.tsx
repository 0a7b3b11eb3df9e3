import { AlarmClock, CircleCheck, Hand, ShieldAlert, UserRound } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useBulk } from "@/app/bulk";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { CloseDialog } from "@/pages/alert/triage";
import { CreateIncident } from "@/pages/incidents/create";
import { BulkBar } from "@/ui/bulk-bar";
import { Button } from "@/ui/button";
import { isSelected, NOTHING, type Selection } from "@/ui/grid/column";
import { Menu, MenuItem } from "@/ui/menu";
import { type Alert, alertQuery } from "./data";
import type { AlertSearch } from "./search";

const text = catalogue({
  acknowledge: ["Acknowledge", "Übernehmen"],
  assign: ["Assign to me", "Mir zuweisen"],
  close: ["Close…", "Schließen …"],
  snooze: ["Snooze", "Zurückstellen"],
  hour: ["For an hour", "Für eine Stunde"],
  day: ["For a day", "Für einen Tag"],
  week: ["For a week", "Für eine Woche"],
  incident: ["Make incident…", "Vorfall anlegen …"],
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
export function AlertBulk({ selection, rows, total, state, onSelect }: Props) {
  const t = useText(text);
  const mayOpen = useCan("incidents:write");
  const [opening, setOpening] = useState(false);
  const [closing, setClosing] = useState(false);
  const bulk = useBulk(["alerts", "dashboard"], (token) =>
    must(api.POST("/api/v1/alerts/bulk/undo", { body: { undo: token } })),
  );
  const { busy } = bulk;

  const run = async (change: Change) => {
    // What changed after this was not seen when it was decided, and is left alone.
    const as_of = rows.reduce((most, alert) => Math.max(most, alert.seq), 0);
    const which = selection.all ? { filter: alertQuery(state), ids: [] } : { ids: [...selection.ids] };
    await bulk.run(() => must(api.POST("/api/v1/alerts/bulk", { body: { ...which, as_of, change } })));
    onSelect(NOTHING);
  };
  const snooze = (ms: number) => void run({ snooze: { until: new Date(Date.now() + ms).toISOString() } } as Change);
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
      </BulkBar>
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
    </>
  );
}
