import { Link, type LinkProps } from "@tanstack/react-router";
import { TrendingDown, TrendingUp } from "lucide-react";
import { useText } from "@/app/preferences";
import { Spark } from "@/charts/spark";
import { type Format, useFormat } from "@/i18n/format";
import type { PlainKey } from "@/i18n/text";
import { classes } from "@/ui/classes";
import type { Dashboard, TileProps } from "./data";
import { text } from "./strings";

type Kpi = Dashboard["kpis"][number];

interface Figure {
  id: string;
  label: PlainKey<typeof text>;
  show: (value: number, format: Format) => string;
  /** Whether more of it is bad news, good news, or neither. */
  more: "bad" | "good" | "neither";
  /** The colour of a figure that is not zero. */
  tone?: string;
  link: Pick<LinkProps, "to" | "search">;
}

const whole = (value: number, format: Format) => format.number(Math.round(value));

/** The figures, in the order they are shown. */
const FIGURES: readonly Figure[] = [
  { id: "alerts_open", label: "openAlerts", show: whole, more: "bad", link: { to: "/alerts" } },
  {
    id: "alerts_new",
    label: "newAlerts",
    show: whole,
    more: "bad",
    link: { to: "/alerts", search: { status: "all" } },
  },
  {
    id: "alerts_critical",
    label: "criticalAlerts",
    show: whole,
    more: "bad",
    tone: "text-critical",
    link: { to: "/alerts", search: { severity: "critical", status: "all" } },
  },
  { id: "incidents_open", label: "openIncidents", show: whole, more: "bad", link: { to: "/incidents" } },
  {
    id: "sla_breached",
    label: "breached",
    show: whole,
    more: "bad",
    tone: "text-critical",
    link: { to: "/incidents", search: { sla: "breached" } },
  },
  {
    id: "time_to_acknowledge_seconds",
    label: "timeToAcknowledge",
    show: (value, format) => format.duration(value),
    more: "bad",
    link: { to: "/incidents", search: { which: "all" } },
  },
  { id: "flows", label: "flows", show: (value, format) => format.count(value), more: "neither", link: { to: "/hunt" } },
  { id: "bytes", label: "bytes", show: (value, format) => format.bytes(value), more: "neither", link: { to: "/hunt" } },
];

function Trend({ kpi, more }: { kpi: Kpi; more: Figure["more"] }) {
  const t = useText(text);
  const format = useFormat();
  const percent = kpi.trend_percent;
  if (percent === null || percent === undefined) return null;
  const Arrow = percent >= 0 ? TrendingUp : TrendingDown;
  const bad = more !== "neither" && Math.abs(percent) >= 1 && percent > 0 === (more === "bad");
  const good = more !== "neither" && Math.abs(percent) >= 1 && !bad;
  return (
    <span
      title={t("before", { value: format.number(Math.round(kpi.previous ?? 0)) })}
      className={classes(
        "num inline-flex items-center gap-1 text-xs",
        bad ? "text-critical" : good ? "text-good" : "text-text-3",
      )}
    >
      <Arrow aria-hidden size={13} />
      {`${percent >= 0 ? "+" : ""}${format.percent(percent / 100)}`}
    </span>
  );
}

/** The key figures of the span, each with its course and its change against the time before. */
export function Figures({ data }: TileProps) {
  const t = useText(text);
  const format = useFormat();
  const shown = FIGURES.flatMap((figure) => {
    const kpi = data.kpis.find((known) => known.id === figure.id);
    return kpi ? [{ figure, kpi }] : [];
  });
  return (
    <dl className="m-0 grid grid-cols-2 gap-px overflow-hidden rounded-box border border-line bg-line sm:grid-cols-4 2xl:grid-cols-8">
      {shown.map(({ figure, kpi }) => (
        <div key={kpi.id} className="relative flex min-h-[104px] min-w-0 flex-col overflow-hidden bg-surface px-4 py-3">
          <dt className="truncate text-xs text-text-3">
            <Link {...figure.link} className="text-text-3 no-underline after:absolute after:inset-0 hover:text-accent">
              {t(figure.label)}
            </Link>
          </dt>
          <dd
            className={classes(
              "num m-0 mt-1 flex flex-wrap items-baseline gap-x-2 whitespace-nowrap text-xl font-semibold tracking-[-0.02em]",
              kpi.value ? figure.tone : "",
            )}
          >
            {kpi.value === null || kpi.value === undefined ? "–" : figure.show(kpi.value, format)}
            <Trend kpi={kpi} more={figure.more} />
          </dd>
          {kpi.series.length > 1 && (
            <dd aria-hidden className="pointer-events-none absolute inset-x-0 bottom-0 m-0">
              <Spark values={kpi.series} height={26} />
            </dd>
          )}
        </div>
      ))}
    </dl>
  );
}
