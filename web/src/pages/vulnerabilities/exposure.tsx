import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { Badge } from "@/ui/badge";
import { Facts } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { exposureQuery } from "./data";
import { exposureText } from "./exposure-strings";

type Reason = Schema<"ExposureReason">;

const TONES = { internet: "critical", network: "medium", local: "good", unknown: "neutral" } as const;
type From = keyof typeof TONES;
const from = (exposure: string): From => (exposure in TONES ? (exposure as From) : "unknown");

/** From where something can be reached, in a word. */
export function ExposureBadge({ exposure }: { exposure: string }) {
  const t = useText(exposureText);
  const known = from(exposure);
  return <Badge tone={TONES[known]}>{t(known)}</Badge>;
}

function Line({ reason }: { reason: Reason }) {
  const t = useText(exposureText);
  const known = reason.kind in exposureText ? (reason.kind as "untold") : "untold";
  const shown = reason.ports.slice(0, 8);
  const more = reason.ports.length - shown.length + reason.more;
  return (
    <li className="grid grid-cols-[120px_minmax(0,1fr)_auto] items-baseline gap-x-4 gap-y-1 border-b border-line px-4 py-2.5 last:border-b-0 max-sm:grid-cols-1">
      <span className="text-xs text-text-3">{t(`source_${reason.source}` as "source_ports")}</span>
      <span className="min-w-0 text-sm">
        {t(known)}
        {reason.detail && <span className="mono ml-2 break-words">{reason.detail}</span>}
        {shown.length > 0 && (
          <span className="mono ml-2 break-words text-text-2">
            {shown.join(", ")}
            {more > 0 && ` ${t("more", { n: more })}`}
          </span>
        )}
        {reason.last && (
          <span className="ml-2 text-xs text-text-3">
            <Ago time={reason.last} />
          </span>
        )}
      </span>
      <span className="justify-self-end max-sm:justify-self-start">
        <ExposureBadge exposure={reason.exposure} />
      </span>
    </li>
  );
}

/** From where a host can be reached, and every reason to think so, with where it comes from. */
export function Exposure({ host }: { host: string }) {
  const t = useText(exposureText);
  const query = useQuery(exposureQuery(host));
  return (
    <Loaded query={query} rows={5}>
      {(known) => {
        const [release, version] = known.kernel.split(" ");
        const facts: [string, ReactNode][] = [
          [t("exposure"), <ExposureBadge key="exposure" exposure={known.exposure} />],
          [t("worth"), t(known.criticality as "medium")],
          [t("kernel"), release && <span className="mono">{version ? `${release} (${version})` : release}</span>],
        ];
        return (
          <div>
            <div className="px-4 py-3">
              <Facts items={facts} />
            </div>
            <ul aria-label={t("reasons")} className="m-0 list-none border-t border-line p-0">
              {known.reasons.map((reason) => (
                <Line key={reason.kind} reason={reason} />
              ))}
            </ul>
            <p className="m-0 px-4 py-3 text-xs text-text-3">{t("hint")}</p>
          </div>
        );
      }}
    </Loaded>
  );
}
