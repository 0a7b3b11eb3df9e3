import { useNavigate } from "@tanstack/react-router";
import { Crosshair, Database, Radar } from "lucide-react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { Badge, type Tone } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Named } from "@/ui/masked";
import { Dialog } from "@/ui/overlay";
import { Facts } from "@/ui/panel";
import { At } from "@/ui/time";
import { type HostEvent, textOf } from "./data";
import { type Pivot, pivotsOf } from "./pivots";
import { Respond } from "./respond";
import { text } from "./strings";
import { isNotable, protocolName, subjectOf } from "./told";

const TONES: Record<string, Tone> = {
  exec: "low",
  core: "high",
  trace: "medium",
  set_user: "medium",
  set_group: "medium",
  open: "low",
  listen: "accent",
  create: "good",
  modify: "low",
  delete: "medium",
  rename: "low",
  login: "good",
  elevate: "medium",
};

/** What happened, in a word. */
export function ActivityMark({ event }: { event: HostEvent }) {
  const t = useText(text);
  const { activity } = event;
  if (!activity) {
    if (typeof event.severity !== "number") return <span className="text-text-3">–</span>;
    const level = Math.min(7, Math.max(0, event.severity));
    const tone: Tone = level <= 2 ? "critical" : level === 3 ? "high" : level === 4 ? "medium" : "neutral";
    return <Badge tone={tone}>{t(`level${level}` as "level0")}</Badge>;
  }
  if (event.class === "logins" && event.success === false) return <Badge tone="high">{t("failed")}</Badge>;
  return <Badge tone={TONES[activity] ?? "neutral"}>{activity in text ? t(activity as "exec") : activity}</Badge>;
}

/** What an event is about. Pseudonyms are shown as such. */
export function Subject({ event }: { event: HostEvent }) {
  const subject = subjectOf(event);
  return (
    <span className={isNotable(event) ? "mono text-high" : "mono"} title={subject}>
      <Named value={subject} />
    </span>
  );
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
const BYTES = /(^|_)(bytes|size)(_|$)/;
const MODES = new Set(["mode", "old_mode"]);
/** What says where a row is kept, and nothing about what happened. */
const KEPT = new Set(["batch", "row", "class", "tenant", "host", "host_id", "diff"]);

function useCell(): (column: string, value: unknown) => React.ReactNode {
  const format = useFormat();
  return (column, value) => {
    if (typeof value === "number") {
      if (column === "protocol") return protocolName(value);
      if (MODES.has(column)) return value.toString(8).padStart(4, "0");
      return BYTES.test(column) ? format.bytes(value) : String(value);
    }
    if (typeof value === "string" && TIME.test(value)) return <At time={value} />;
    if (typeof value === "string") return <Named value={value} />;
    return String(value);
  };
}

/** One event with everything that is known of it, and where it leads. */
export function EventSheet({ event, onClose }: { event: HostEvent | undefined; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open={event !== undefined} onClose={onClose} title={t("detail")} sheet>
      {event && <Detail event={event} />}
    </Dialog>
  );
}

function Detail({ event }: { event: HostEvent }) {
  const t = useText(text);
  const cell = useCell();
  const diff = textOf(event, "diff");
  const columns = Object.entries(event).filter(([column, value]) => !KEPT.has(column) && value !== null);
  const title = "m-0 mb-2 text-sm font-semibold";
  return (
    <div className="flex flex-col gap-5">
      <div className="flex flex-col gap-2">
        <span className="flex flex-wrap items-center gap-2 text-sm text-text-3">
          <ActivityMark event={event} /> <At time={event.time} />
        </span>
        <span className="mono break-words text-sm">
          <Named value={subjectOf(event)} />
        </span>
      </div>
      {diff && (
        <section>
          <h3 className={title}>{t("diff")}</h3>
          <Diff text={diff} />
        </section>
      )}
      <Pivots event={event} />
      <Respond event={event} />
      <section>
        <h3 className={title}>{t("columns")}</h3>
        <Facts
          items={columns.map(([column, value]) => [
            column,
            <span key={column} className="mono break-all">
              {cell(column, value)}
            </span>,
          ])}
        />
      </section>
    </div>
  );
}

/** Lines that came and went. A sign stands before each, so that the colour is not all there is. */
export function Diff({ text: diff }: { text: string }) {
  const t = useText(text);
  const tone = (line: string) =>
    line.startsWith("+") ? "bg-good-soft text-good" : line.startsWith("-") ? "bg-critical-soft text-critical" : "";
  return (
    <section
      aria-label={t("diff")}
      tabIndex={0}
      className="mono m-0 max-h-80 overflow-auto rounded-m border border-line bg-sunken py-2 text-xs"
    >
      {diff.split("\n").map((line, index) => (
        <div key={index} className={`whitespace-pre px-3 ${tone(line)}`}>
          {line || " "}
        </div>
      ))}
    </section>
  );
}

function Pivots({ event }: { event: HostEvent }) {
  const t = useText(text);
  const navigate = useNavigate();
  const allowed = { sql: useCan("flows:sql"), flows: useCan("flows:read"), entity: useCan("alerts:read") };
  const pivots = pivotsOf(event).filter(({ kind }) => allowed[kind]);
  if (pivots.length === 0) return null;
  const go = (pivot: Pivot) => {
    if (pivot.kind === "sql") return void navigate({ to: "/hunt", search: pivot.search });
    if (pivot.kind === "flows") return void navigate({ to: "/hunt", search: { filter: `ip = ${pivot.ip}` } });
    const params = { kind: pivot.entity, value: pivot.value };
    return void navigate({ to: "/entities/$kind/$value", params });
  };
  const label = (pivot: Pivot): string => {
    if (pivot.kind === "sql") return t(pivot.label);
    if (pivot.kind === "flows") return t("flowsOf", { ip: pivot.ip });
    return t("about", { value: pivot.value.length > 20 ? `${pivot.value.slice(0, 12)}…` : pivot.value });
  };
  const icons = { sql: Database, flows: Radar, entity: Crosshair };
  return (
    <section>
      <h3 className="m-0 mb-2 text-sm font-semibold">{t("pivots")}</h3>
      <div className="flex flex-wrap gap-2">
        {pivots.map((pivot) => (
          <Button key={label(pivot)} className="max-w-full" icon={icons[pivot.kind]} onClick={() => go(pivot)}>
            <span className="truncate">{label(pivot)}</span>
          </Button>
        ))}
      </div>
    </section>
  );
}
