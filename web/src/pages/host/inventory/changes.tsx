import { useQuery } from "@tanstack/react-query";
import { History } from "lucide-react";
import { useMemo, useState } from "react";
import { useText } from "@/app/preferences";
import { Badge, type Tone } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { Grid } from "@/ui/grid/grid";
import { Named } from "@/ui/masked";
import { Dialog } from "@/ui/overlay";
import { Empty, Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { At } from "@/ui/time";
import { useMemberName, Value } from "./cell";
import { type Change, changesQuery, differences, entryOf } from "./lists";
import { text } from "./strings";

const TONES: Record<string, Tone> = { added: "good", removed: "medium", changed: "low" };

function Activity({ change }: { change: Change }) {
  const t = useText(text);
  const { activity } = change;
  return <Badge tone={TONES[activity] ?? "neutral"}>{activity in text ? t(activity as "added") : activity}</Badge>;
}

const nameOf = (change: Change) => change.name || change.user || change.path || "–";

function useChangeColumns(): readonly Column<Change>[] {
  const t = useText(text);
  const member = useMemberName();
  return useMemo<readonly Column<Change>[]>(
    () => [
      { id: "time", label: t("time"), width: 160, grow: 0, fixed: true, cell: (one) => <At time={one.time} /> },
      { id: "activity", label: t("activity"), width: 110, grow: 0, cell: (one) => <Activity change={one} /> },
      {
        id: "what",
        label: t("what"),
        width: 200,
        grow: 2,
        cell: (one) => (
          <span className="font-medium">
            <Named value={nameOf(one)} />
          </span>
        ),
      },
      {
        id: "version",
        label: member("version"),
        width: 220,
        grow: 2,
        cell: ({ old_version: old, version }) => (
          <span className="mono text-xs">
            {old && old !== version ? `${old} → ` : ""}
            {version || (old ? "" : "–")}
          </span>
        ),
      },
    ],
    [t, member],
  );
}

/** What a change changed, member by member. */
function ChangeSheet({ change, onClose }: { change: Change | null; onClose: () => void }) {
  const t = useText(text);
  const member = useMemberName();
  const rows = change ? differences(entryOf(change.old_entry), entryOf(change.entry)) : [];
  return (
    <Dialog open={change !== null} onClose={onClose} title={change ? nameOf(change) : ""} sheet>
      {change && (
        <div className="flex flex-col gap-3">
          <span className="flex items-center gap-3 text-sm text-text-2">
            <Activity change={change} /> <At time={change.time} />
          </span>
          <Table
            label={t("changes")}
            rows={rows}
            rowId={([name]) => name}
            heads={[
              { id: "member", label: t("what"), cell: ([name]) => member(name) },
              { id: "before", label: t("before"), cell: ([name, before]) => <Value member={name} value={before} /> },
              { id: "now", label: t("now"), cell: ([name, , now]) => <Value member={name} value={now} /> },
            ]}
          />
        </div>
      )}
    </Dialog>
  );
}

/** How a list of a host came to be as it is, newest first. */
export function Changes({ host, list }: { host: string; list: string }) {
  const t = useText(text);
  const query = useQuery(changesQuery(host, list));
  const columns = useChangeColumns();
  const [shown, setShown] = useState<Change | null>(null);
  return (
    <Loaded query={query}>
      {({ items, more }) => (
        <>
          <Grid
            label={t("changes")}
            columns={columns}
            rows={items}
            rowId={(change) => `${change.time} ${change.activity} ${items.indexOf(change)}`}
            onOpen={setShown}
            cardHeight={64}
            card={(change) => (
              <div className="flex h-full flex-col justify-between text-sm">
                <span className="flex items-center justify-between gap-3">
                  <span className="truncate font-medium">{nameOf(change)}</span>
                  <Activity change={change} />
                </span>
                <span className="text-xs text-text-3">
                  <At time={change.time} />
                </span>
              </div>
            )}
            empty={<Empty icon={History} title={t("noChanges")} />}
          />
          {more && <p className="m-0 border-t border-line px-4 py-2 text-xs text-text-3">{t("more")}</p>}
          <ChangeSheet change={shown} onClose={() => setShown(null)} />
        </>
      )}
    </Loaded>
  );
}
