import { useText } from "@/app/preferences";
import { type Format, useFormat } from "@/i18n/format";
import { catalogue, type PlainKey, type Translate } from "@/i18n/text";

/** What detectors and correlations measure. */
export const text = catalogue({
  events: ["Events within {span}", "Ereignisse in {span}"],
  distinct: ["Different {field} within {span}", "Verschiedene {field} in {span}"],
  sum: ["Sum of {field} within {span}", "Summe von {field} in {span}"],
  average: ["Average of {field} within {span}", "Mittel von {field} in {span}"],
  matched: ["Rules that matched within {span}", "Passende Regeln in {span}"],
  estimated: ["Estimated", "Geschätzt"],
  yes: ["yes", "ja"],
  none: ["none", "keine"],
  connections: ["Connections", "Verbindungen"],
  interval: ["Interval", "Abstand"],
  interval_deviation_secs: ["Deviation from it", "Abweichung davon"],
  size_median_bytes: ["Usual size", "Übliche Größe"],
  score: ["Score, 0 to 1", "Wertung, 0 bis 1"],
  interval_skew_score: ["Even intervals", "Abstände symmetrisch"],
  interval_dispersion_score: ["Little deviation", "Abstände gleichmäßig"],
  size_skew_score: ["Even sizes", "Größen symmetrisch"],
  size_dispersion_score: ["Equal sizes", "Größen gleichmäßig"],
  coverage_score: ["Without pauses", "Ohne Pausen"],
  sent: ["Sent", "Gesendet"],
  share_of_sent: ["Share of all it sent", "Anteil an allem Gesendeten"],
  others: ["Other hosts that talk to it", "Andere Hosts, die mit dem Ziel sprechen"],
  usual_day_bytes: ["Usual in a day", "Üblich an einem Tag"],
  queries: ["Queries", "Anfragen"],
  query_bytes: ["Bytes per query", "Bytes je Anfrage"],
  answers: ["Answers", "Antworten"],
  answer_bytes: ["Bytes per answer", "Bytes je Antwort"],
  span: ["Time", "Dauer"],
  volume: ["In all", "Zusammen"],
});

type T = Translate<typeof text>;
type Measures = Readonly<Record<string, unknown>>;
const SPAN: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };
/** Said by another measure in a form that reads better. */
const TWICE: Record<string, string> = { interval_median_secs: "interval", bytes: "sent", timespan: "measured" };
/** Measured in octets, in seconds. */
const OCTETS = new Set(["size_median_bytes", "usual_day_bytes", "query_bytes", "answer_bytes"]);
const SECONDS = new Set(["span"]);

/** "distinct dst_ip within 5m", in the reader's language; as it is where it is not understood. */
function counted(said: string, t: T, format: Format): string {
  const found = /^(?:(events|rules matched)|(distinct|sum of|average of) (.+)) within (.+)$/.exec(said);
  const parts = found?.[4] ? [...found[4].matchAll(/(\d+)\s*([smhd])/g)] : [];
  if (!found || parts.length === 0) return said;
  const seconds = parts.reduce((sum, part) => sum + Number(part[1]) * (SPAN[part[2] ?? ""] ?? 0), 0);
  const span = format.duration(seconds);
  if (found[1]) return t(found[1] === "events" ? "events" : "matched", { span });
  const kind = found[2] === "distinct" ? "distinct" : found[2] === "sum of" ? "sum" : "average";
  return t(kind, { span, field: found[3] ?? "" });
}

function shown(name: string, value: unknown, t: T, format: Format): string {
  if (value === "yes" || value === "none") return t(value);
  if (typeof value === "string") return value;
  if (typeof value !== "number") return JSON.stringify(value);
  if (name === "share_of_sent") return format.percent(value);
  if (name === "interval_deviation_secs") return `${format.number(value)}\u00a0s`;
  if (OCTETS.has(name)) return format.bytes(value);
  return SECONDS.has(name) ? format.duration(value) : format.number(value);
}

/** Name and value of each measure, in words. */
export function told(measures: Measures, t: T, format: Format): [name: string, value: string][] {
  return Object.entries(measures).flatMap(([name, value]): [string, string][] => {
    if ((TWICE[name] ?? name) !== name && (TWICE[name] ?? "") in measures) return [];
    if (name === "measured" && "measure" in measures) return [];
    if (name === "measure" && typeof measures.measured === "string")
      return [[counted(measures.measured, t, format), shown(name, value, t, format)]];
    const label = name in text ? t(name as PlainKey<typeof text>) : name.replaceAll("_", " ");
    return [[label, shown(name, value, t, format)]];
  });
}

/** What was measured, as tiles. */
export function MeasureTiles({ measures }: { measures: Measures }) {
  const t = useText(text);
  const format = useFormat();
  return (
    <dl className="m-0 grid grid-cols-[repeat(auto-fit,minmax(min(11rem,100%),1fr))] gap-px overflow-hidden rounded-m border border-line">
      {told(measures, t, format).map(([name, value]) => (
        <div key={name} className="min-w-0 px-3 py-2.5 shadow-[0_0_0_1px_var(--line)]">
          <dt className="text-xs text-text-3">{name}</dt>
          <dd className="num m-0 mt-0.5 break-words text-base font-semibold">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
