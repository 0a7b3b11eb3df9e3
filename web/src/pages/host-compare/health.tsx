import { useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { bounds } from "@/app/range";
import { type Format, useFormat } from "@/i18n/format";
import { type HostHealth, healthQuery } from "@/pages/host/data";
import { filled, last, pointsOf, seriesOf, taken } from "@/pages/host/series";
import { Panel } from "@/ui/panel";
import { Table } from "@/ui/table";
import type { ComparedHost } from "./data";
import { text } from "./strings";

const MEASURES = ["processor", "memory", "load", "fullest"] as const;
type Measure = (typeof MEASURES)[number];

function said(health: HostHealth | undefined, measure: Measure, format: Format): string {
  if (!health) return "";
  if (measure === "processor") {
    const busy = pointsOf(seriesOf(health, "cpu_busy"));
    return busy.length > 0 ? format.percent(busy.reduce((sum, { value }) => sum + value, 0) / busy.length / 1000) : "";
  }
  if (measure === "memory") {
    const used = last(
      taken(pointsOf(seriesOf(health, "memory_total")), pointsOf(seriesOf(health, "memory_available"))),
    );
    return used === null ? "" : format.bytes(used);
  }
  if (measure === "load") {
    const load = last(pointsOf(seriesOf(health, "load_1m")));
    return load === null ? "" : format.number(Math.round(load / 10) / 100);
  }
  const [fullest] = filled(health);
  return fullest ? `${fullest.name}: ${format.percent(fullest.used / fullest.total)}` : "";
}

/** How hosts were in the last hour, side by side. */
export function Health({ hosts }: { hosts: readonly ComparedHost[] }) {
  const t = useText(text);
  const format = useFormat();
  const stretch = useMemo(() => ({ from: bounds("1h").from }), []);
  const own = hosts.filter((host): host is ComparedHost & { id: string } => Boolean(host.id));
  const all = useQueries({ queries: own.map(({ id }) => healthQuery(id, stretch)) });
  return (
    <Panel title={t("health")} flush>
      <Table
        label={t("health")}
        rows={MEASURES}
        rowId={(measure) => measure}
        heads={[
          { id: "fact", label: t("fact"), cell: (measure) => <span className="text-text-3">{t(measure)}</span> },
          ...own.map((host, index) => ({
            id: host.id,
            label: host.name,
            cell: (measure: Measure) => said(all[index]?.data, measure, format) || "–",
          })),
        ]}
      />
    </Panel>
  );
}
