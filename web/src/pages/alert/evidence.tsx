import { useMemo } from "react";
import type { Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { text } from "@/pages/alerts/strings";
import { PROTOCOLS } from "@/pages/hunt/cell";

type Event = Record<string, unknown>;
type Row = Schema<"EvidenceView">;

function protocol(value: unknown): string {
  return typeof value === "number" ? (PROTOCOLS[value] ?? String(value)) : "–";
}

function end(address: unknown, port: unknown): string {
  if (address === undefined) return "–";
  return port === undefined || port === null ? String(address) : `${String(address)}:${String(port)}`;
}

/** The events that an alert keeps: who spoke with whom, when and how much. */
export function Evidence({ events }: { events: readonly Row[] }) {
  const t = useText(text);
  const format = useFormat();
  const rows = useMemo(
    () => events.map((row) => ({ id: `${row.batch}-${row.row}`, event: row.event as Event })),
    [events],
  );
  if (rows.length === 0) return <p className="m-0 px-4 pb-4 text-sm text-text-3">{t("noEvidence")}</p>;
  const head = "px-4 py-2 text-left text-xs font-medium text-text-3 whitespace-nowrap";
  const cell = "px-4 py-1.5 whitespace-nowrap";
  return (
    <section aria-label={t("evidence")} tabIndex={0} className="max-h-[420px] overflow-auto">
      <table className="w-full border-collapse text-sm">
        <thead className="sticky top-0 bg-surface">
          <tr className="border-b border-line">
            <th className={head}>{t("time")}</th>
            <th className={head}>{t("from")}</th>
            <th className={head}>{t("to")}</th>
            <th className={head}>{t("protocol")}</th>
            <th className={`${head} text-right`}>{t("packets")}</th>
            <th className={`${head} text-right`}>{t("bytes")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ id, event }) => (
            <tr key={id} className="border-b border-line last:border-0 hover:bg-hover">
              <td className={`${cell} num text-text-2`}>{event.start ? format.time(String(event.start)) : "–"}</td>
              <td className={`${cell} mono`}>{end(event.src_ip, event.src_port)}</td>
              <td className={`${cell} mono`}>{end(event.dst_ip, event.dst_port)}</td>
              <td className={`${cell} text-text-2`}>{protocol(event.protocol)}</td>
              <td className={`${cell} num text-right`}>
                {typeof event.packets === "number" ? format.number(event.packets) : "–"}
              </td>
              <td className={`${cell} num text-right`}>
                {typeof event.bytes === "number" ? format.bytes(event.bytes) : "–"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
