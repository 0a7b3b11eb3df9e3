import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { useText } from "@/app/preferences";
import { Spark } from "@/charts/spark";
import { useFormat } from "@/i18n/format";
import { useKpis } from "@/live/live";
import { classes } from "@/ui/classes";
import { useOpenCounts } from "./data";
import { text } from "./strings";

const SECONDS = 90;

/** The last values of a figure that arrives every second. */
function useTrail(value: number | undefined, stamp: string | undefined): readonly number[] {
  const [trail, setTrail] = useState<readonly number[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new second is a new point, also when the value is the same
  useEffect(() => {
    if (value !== undefined) setTrail((before) => [...before, value].slice(-SECONDS));
  }, [value, stamp]);
  return trail;
}

function Tile({
  label,
  value,
  tone,
  trail,
  children,
}: {
  label: string;
  value: string;
  tone?: string;
  trail?: readonly number[];
  children?: ReactNode;
}) {
  return (
    <div className="relative flex min-h-[92px] flex-col overflow-hidden bg-surface px-4 py-3">
      <dt className="truncate text-xs text-text-3">{label}</dt>
      <dd className={classes("num m-0 mt-1 text-2xl font-semibold tracking-[-0.02em]", tone)}>{value}</dd>
      {children && <dd className="m-0 mt-auto text-xs text-text-3">{children}</dd>}
      {trail && (
        <dd className="absolute inset-x-0 bottom-0 m-0">
          <Spark values={trail} height={26} />
        </dd>
      )}
    </div>
  );
}

/** The figures of the moment; rates move every second. */
export function Figures() {
  const t = useText(text);
  const format = useFormat();
  const kpis = useKpis();
  const counts = useOpenCounts();
  const flows = useTrail(kpis?.flows_per_second, kpis?.time);
  const bytes = useTrail(kpis?.bytes_per_second, kpis?.time);
  const by = counts.data?.by_severity as Record<string, number> | undefined;
  const urgent = by ? (by.critical ?? 0) + (by.high ?? 0) : undefined;
  const shown = (value: number | undefined) => (value === undefined ? "–" : format.number(Math.round(value)));
  return (
    <dl className="m-0 grid grid-cols-2 gap-px overflow-hidden rounded-l border border-line bg-line md:grid-cols-3 xl:grid-cols-6">
      <Tile label={t("openAlerts")} value={shown(counts.data?.total)}>
        <Link to="/alerts" className="text-text-3 hover:text-accent">
          {t("all")}
        </Link>
      </Tile>
      <Tile label={t("urgent")} value={shown(urgent)} tone={urgent ? "text-high" : ""}>
        <Link to="/alerts" search={{ severity: "high" }} className="text-text-3 hover:text-accent">
          {t("all")}
        </Link>
      </Tile>
      <Tile label={t("flowRate")} value={shown(kpis?.flows_per_second)} trail={flows} />
      <Tile
        label={t("byteRate")}
        value={kpis ? t("perSecond", { value: format.bytes(kpis.bytes_per_second) }) : "–"}
        trail={bytes}
      />
      <Tile label={t("exporters")} value={shown(kpis?.exporters)}>
        <Link to="/exporters" className="text-text-3 hover:text-accent">
          {t("all")}
        </Link>
      </Tile>
      <Tile
        label={t("lost")}
        value={shown(kpis ? kpis.lost_total + kpis.missing_total : undefined)}
        tone={kpis && kpis.lost_total + kpis.missing_total > 0 ? "text-medium" : ""}
      />
    </dl>
  );
}
