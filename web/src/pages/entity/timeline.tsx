import { Link } from "@tanstack/react-router";
import { Bell, ShieldAlert } from "lucide-react";
import { useText } from "@/app/preferences";
import { IncidentCard } from "@/pages/incidents/parts";
import { SeverityMark } from "@/ui/badge";
import { Panel } from "@/ui/panel";
import { At } from "@/ui/time";
import type { Entity } from "./page";
import { text } from "./strings";

/** What happened to it, newest first. */
export function Timeline({ entity }: { entity: Entity }) {
  const t = useText(text);
  return (
    <Panel title={t("timeline")}>
      {entity.timeline.length === 0 ? (
        <p className="m-0 py-6 text-center text-sm text-text-3">{t("nothing")}</p>
      ) : (
        <ol aria-label={t("happened")} className="m-0 list-none p-0">
          {entity.timeline.map((one) => {
            const alert = one.kind === "alert";
            const Icon = alert ? Bell : ShieldAlert;
            return (
              <li key={`${one.kind}-${one.ref}`} className="relative flex gap-3 pb-4 last:pb-0">
                <span aria-hidden className="absolute bottom-0 left-[13px] top-7 w-px bg-line" />
                <span className="z-10 flex size-7 shrink-0 items-center justify-center rounded-full border border-line bg-sunken text-text-3">
                  <Icon aria-label={t(alert ? "kindAlert" : "kindIncident")} size={14} />
                </span>
                <div className="min-w-0 flex-1">
                  <div className="flex flex-wrap items-center gap-x-3 text-xs text-text-3">
                    <At time={one.time} />
                    <SeverityMark severity={one.severity} />
                  </div>
                  <Link
                    to={alert ? "/alerts/$id" : "/incidents/$id"}
                    params={{ id: one.ref }}
                    className="block break-words text-sm text-text no-underline hover:text-accent"
                  >
                    {one.text}
                  </Link>
                </div>
              </li>
            );
          })}
        </ol>
      )}
    </Panel>
  );
}

export function Incidents({ entity }: { entity: Entity }) {
  const t = useText(text);
  if (entity.incidents.length === 0) return null;
  return (
    <Panel
      title={t("incidents")}
      aside={
        <Link to="/incidents" search={{ entity: entity.value, which: "all" }} className="text-xs text-accent">
          {t("itsIncidents")}
        </Link>
      }
    >
      <div className="flex flex-col gap-2">
        {entity.incidents.slice(0, 5).map((incident) => (
          <IncidentCard key={incident.id} incident={incident} />
        ))}
      </div>
    </Panel>
  );
}
