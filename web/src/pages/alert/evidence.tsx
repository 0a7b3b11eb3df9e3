import { Split } from "lucide-react";
import { useMemo, useState } from "react";
import type { Schema } from "@/api/client";
import { EntityLink } from "@/app/entity-link";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import type { Alert } from "@/pages/alerts/data";
import { text } from "@/pages/alerts/strings";
import { PROTOCOLS } from "@/pages/hunt/cell";
import { Button } from "@/ui/button";
import { Checkbox } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { text as ui } from "@/ui/strings";
import { Table } from "@/ui/table";
import { SplitAlert } from "./split";

type Row = Schema<"EvidenceView">;

const idOf = (row: Pick<Row, "batch" | "row">) => `${row.batch}-${row.row}`;

function protocol(value: unknown): string {
  return typeof value === "number" ? (PROTOCOLS[value] ?? String(value)) : "–";
}

function End({ address, port }: { address: unknown; port: unknown }) {
  if (address === undefined || address === null) return <>–</>;
  return (
    <span className="mono">
      <EntityLink kind="ip" value={String(address)} />
      {port === undefined || port === null ? "" : `:${String(port)}`}
    </span>
  );
}

/** The events that an alert keeps: who spoke with whom, when and how much. Some may leave for an alert of their own. */
export function Evidence({ alert }: { alert: Alert }) {
  const t = useText(text);
  const u = useText(ui);
  const format = useFormat();
  const triage = useCan("alerts:triage");
  const rows = useMemo(() => alert.evidence ?? [], [alert.evidence]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [splitting, setSplitting] = useState(false);
  const value = (row: Row, name: string) => (row.event as Record<string, unknown>)[name];
  const flip = (row: Row) => {
    const next = new Set(chosen);
    if (!next.delete(idOf(row))) next.add(idOf(row));
    setChosen(next);
  };
  const some = chosen.size > 0 && chosen.size < rows.length;
  return (
    <Panel
      title={t("evidence")}
      flush
      aside={
        triage && some ? (
          <Button icon={Split} onClick={() => setSplitting(true)}>
            {t("splitOff", { n: chosen.size })}
          </Button>
        ) : (
          <span className="text-xs text-text-3">{t("evidenceCount", { n: rows.length })}</span>
        )
      }
    >
      {rows.length === 0 ? (
        <p className="m-0 px-4 pb-4 text-sm text-text-3">{t("noEvidence")}</p>
      ) : (
        <Table
          label={t("evidence")}
          className="max-h-[420px]"
          rows={rows}
          rowId={idOf}
          heads={[
            ...(triage && rows.length > 1
              ? [
                  {
                    id: "choose",
                    label: u("selectRow"),
                    quiet: true,
                    cell: (row: Row) => (
                      <Checkbox
                        label={t("selectEvent", { time: format.time(String(value(row, "start") ?? 0)) })}
                        checked={chosen.has(idOf(row))}
                        onChange={() => flip(row)}
                      />
                    ),
                  },
                ]
              : []),
            {
              id: "time",
              label: t("time"),
              cell: (row) => (
                <span className="num text-text-2">
                  {value(row, "start") ? format.time(String(value(row, "start"))) : "–"}
                </span>
              ),
            },
            {
              id: "from",
              label: t("from"),
              cell: (row) => <End address={value(row, "src_ip")} port={value(row, "src_port")} />,
            },
            {
              id: "to",
              label: t("to"),
              cell: (row) => <End address={value(row, "dst_ip")} port={value(row, "dst_port")} />,
            },
            { id: "protocol", label: t("protocol"), cell: (row) => protocol(value(row, "protocol")) },
            {
              id: "packets",
              label: t("packets"),
              end: true,
              cell: (row) => {
                const packets = value(row, "packets");
                return typeof packets === "number" ? format.number(packets) : "–";
              },
            },
            {
              id: "bytes",
              label: t("bytes"),
              end: true,
              cell: (row) => {
                const bytes = value(row, "bytes");
                return typeof bytes === "number" ? format.bytes(bytes) : "–";
              },
            },
          ]}
        />
      )}
      <SplitAlert
        alert={alert}
        events={rows.filter((row) => chosen.has(idOf(row)))}
        open={splitting}
        onClose={() => {
          setSplitting(false);
          setChosen(new Set());
        }}
      />
    </Panel>
  );
}
