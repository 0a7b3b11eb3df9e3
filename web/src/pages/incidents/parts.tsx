import { Link } from "@tanstack/react-router";
import { Bell, Clock, UserRound } from "lucide-react";
import type { Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Badge, SeverityMark, type Tone } from "@/ui/badge";
import { useNow } from "@/ui/time";
import type { Incident, Status } from "./data";
import { text } from "./strings";

const TONES: Record<string, Tone> = {
  new: "accent",
  triaged: "low",
  contained: "medium",
  resolved: "good",
  closed: "neutral",
  reopened: "high",
};

export function IncidentStatus({ status }: { status: string }) {
  const t = useText(text);
  return <Badge tone={TONES[status] ?? "neutral"}>{t(status as Status)}</Badge>;
}

export type ClockView = Schema<"ClockView">;
const CLOCK_TONES: Record<string, string> = {
  warning: "text-medium",
  breached: "text-critical",
  missed: "text-critical",
  met: "text-good",
};

/** The time that is left, or how it ended. */
export function ClockText({ clock }: { clock: ClockView }) {
  const t = useText(text);
  const format = useFormat();
  const now = useNow();
  const tone = CLOCK_TONES[clock.state] ?? "text-text-2";
  if (clock.state === "none" || !clock.due) return <span className="text-text-3">{t("clockNone")}</span>;
  if (clock.state === "met") return <span className={tone}>{t("clockMet")}</span>;
  if (clock.state === "missed") return <span className={tone}>{t("clockMissed")}</span>;
  return (
    <span className={`num ${tone}`} title={format.time(clock.due)}>
      {clock.state === "breached" ? `${t("clockBreached")} ` : ""}
      {format.ago(clock.due, now)}
    </span>
  );
}

/** The clock that runs now: the first that is neither done nor without limit. */
export function runningClock(incident: Incident): ClockView | null {
  const clocks = [incident.sla.acknowledge, incident.sla.contain, incident.sla.resolve];
  return clocks.find((clock) => ["running", "warning", "breached"].includes(clock.state)) ?? null;
}

export function Owner({ incident }: { incident: Incident }) {
  const t = useText(text);
  if (!incident.owner) return <span className="text-text-3">{t("nobody")}</span>;
  return (
    <span className="inline-flex min-w-0 max-w-full items-center gap-1.5 align-middle">
      <UserRound aria-hidden size={13} className="shrink-0 text-text-3" />
      <span className="truncate">{incident.owner.name}</span>
    </span>
  );
}

export function IncidentCard({ incident }: { incident: Incident }) {
  const t = useText(text);
  const clock = runningClock(incident);
  const format = useFormat();
  return (
    <article className="flex flex-col gap-2 rounded-m border border-line bg-surface p-3 transition-colors hover:border-line-strong">
      <div className="flex items-center justify-between gap-2">
        <SeverityMark severity={incident.severity} />
        <span className="num text-xs text-text-3">#{incident.number}</span>
      </div>
      <Link
        to="/incidents/$id"
        params={{ id: String(incident.number) }}
        className="line-clamp-2 text-sm font-medium text-text no-underline hover:text-accent"
      >
        {incident.title}
      </Link>
      <div className="flex flex-wrap items-center justify-between gap-x-3 gap-y-1 text-xs text-text-2">
        <Owner incident={incident} />
        {clock ? (
          <span className="inline-flex items-center gap-1">
            <Clock aria-hidden size={12} /> <ClockText clock={clock} />
          </span>
        ) : (
          incident.counts.alerts > 0 && (
            <span className="num inline-flex items-center gap-1" title={t("alerts")}>
              <Bell aria-hidden size={12} /> {format.number(incident.counts.alerts)}
              <span className="sr-only">{t("alerts")}</span>
            </span>
          )
        )}
      </div>
    </article>
  );
}
