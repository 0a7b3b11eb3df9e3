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
import { Named } from "@/ui/masked";
import { Panel } from "@/ui/panel";
import { text as ui } from "@/ui/strings";
import { Table, type Head as TableHead } from "@/ui/table";
import { SplitAlert } from "./split";
import { aboutOf, actorOf, isFlow, programsOf, type Told, timeOf } from "./told";

type Row = Schema<"EvidenceView">;
type Head = TableHead<Row>;

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

const eventOf = (row: Row) => row.event as Told;

function When({ event }: { event: Told }) {
  const format = useFormat();
  const time = timeOf(event);
  return <span className="num text-text-2">{time ? format.time(time) : "–"}</span>;
}

/** Who spoke with whom, and how much; the programs where hosts told them. */
function useFlowHeads(rows: readonly Row[]): Head[] {
  const t = useText(text);
  const format = useFormat();
  const value = (row: Row, name: string) => eventOf(row)[name];
  const counted = (row: Row, name: string, show: (n: number) => string) => {
    const count = value(row, name);
    return typeof count === "number" ? show(count) : "–";
  };
  const programs: Head = {
    id: "programs",
    label: t("programs"),
    cell: (row) => <span className="mono">{programsOf(eventOf(row)) || "–"}</span>,
  };
  return [
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
    ...(rows.some((row) => programsOf(eventOf(row))) ? [programs] : []),
    { id: "protocol", label: t("protocol"), cell: (row) => protocol(value(row, "protocol")) },
    { id: "packets", label: t("packets"), end: true, cell: (row) => counted(row, "packets", format.number) },
    { id: "bytes", label: t("bytes"), end: true, cell: (row) => counted(row, "bytes", format.bytes) },
  ];
}

/** What happened on a host, and who did it. */
function useHostHeads(): Head[] {
  const t = useText(text);
  const word = (row: Row, name: string) => String(eventOf(row)[name] ?? "–");
  return [
    { id: "host", label: t("host"), cell: (row) => word(row, "host") },
    { id: "activity", label: t("activity"), cell: (row) => word(row, "activity") },
    {
      id: "about",
      label: t("about"),
      cell: (row) => (
        <span className="mono break-all">
          <Named value={aboutOf(eventOf(row))} />
        </span>
      ),
    },
    { id: "actor", label: t("actor"), cell: (row) => <Named value={actorOf(eventOf(row)) || "–"} /> },
  ];
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
  const flows = rows.some((row) => isFlow(eventOf(row)));
  const flowHeads = useFlowHeads(rows);
  const hostHeads = useHostHeads();
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
                        label={t("selectEvent", { time: format.time(timeOf(eventOf(row)) ?? "0") })}
                        checked={chosen.has(idOf(row))}
                        onChange={() => flip(row)}
                      />
                    ),
                  },
                ]
              : []),
            { id: "time", label: t("time"), cell: (row) => <When event={eventOf(row)} /> },
            ...(flows ? flowHeads : hostHeads),
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
