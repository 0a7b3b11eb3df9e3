import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useText } from "@/app/preferences";
import { Lines } from "@/charts/lines";
import { useFormat } from "@/i18n/format";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { type Summary, summaryQuery } from "./data";
import { Rating } from "./parts";
import type { VulnerabilitiesSearch } from "./search";
import { text } from "./strings";

const DAY_MS = 86_400_000;
const LOOK = "num text-xl font-semibold text-text no-underline hover:text-accent after:absolute after:inset-0";

/** Seconds over everything that was fixed, whatever its rating. */
function meanSeconds({ ratings }: Summary): number | null {
  const fixed = ratings.reduce((sum, one) => sum + one.fixed, 0);
  if (fixed === 0) return null;
  return ratings.reduce((sum, one) => sum + one.fixed * (one.mean_seconds_to_fix ?? 0), 0) / fixed;
}

function Tiles({ summary, state }: { summary: Summary; state: VulnerabilitiesSearch }) {
  const t = useText(text);
  const format = useFormat();
  const mean = meanSeconds(summary);
  const only = (name: "exploited" | "overdue" | "fixable", value: number, bad: boolean) => (
    <Link
      to="/vulnerabilities"
      search={{ ...state, view: undefined, only: name }}
      className={`${LOOK} ${bad && value > 0 ? "!text-critical" : ""}`}
    >
      {format.count(value)}
    </Link>
  );
  const tiles: [string, ReactNode][] = [
    [
      t("openNow"),
      <span key="open" className="num text-xl font-semibold">
        {format.count(summary.open)}
      </span>,
    ],
    [t("exploited"), only("exploited", summary.exploited, true)],
    [t("overdue"), only("overdue", summary.overdue, true)],
    [t("fixable"), only("fixable", summary.fixable, false)],
    [
      t("vulnerableHosts"),
      <span key="hosts" className="num text-xl font-semibold">
        {t("ofHosts", { n: summary.vulnerable_hosts, all: summary.hosts })}
      </span>,
    ],
    [
      t("meanTime"),
      <span key="mean" className="num text-xl font-semibold" title={t("meanTimeHint")}>
        {mean === null ? "–" : format.duration(Math.round(mean))}
      </span>,
    ],
  ];
  return (
    <dl className="m-0 grid grid-cols-2 gap-px overflow-hidden rounded-box border border-line bg-line sm:grid-cols-3 xl:grid-cols-6">
      {tiles.map(([label, value]) => (
        <div key={label} className="relative bg-surface px-4 py-3">
          <dt className="truncate text-xs text-text-3">{label}</dt>
          <dd className="m-0 mt-1">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Ratings({ summary }: { summary: Summary }) {
  const t = useText(text);
  const format = useFormat();
  const shown = summary.ratings.filter(({ rating, open }) => rating !== "none" || open > 0);
  const most = Math.max(1, ...shown.map(({ open }) => open));
  return (
    <Panel title={t("byRating")}>
      <ul className="m-0 flex list-none flex-col gap-1.5 p-0 text-sm">
        {shown.map(({ rating, open }) => (
          <li key={rating} className="grid grid-cols-[112px_1fr_56px] items-center gap-3">
            <Rating rating={rating} />
            <span aria-hidden className="h-1.5 overflow-hidden rounded-full bg-line">
              <span className="block h-full bg-accent" style={{ width: `${(open / most) * 100}%` }} />
            </span>
            <span className="num text-right">{format.count(open)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Figures, how it went, and how bad what there is. */
export function Overview({ state }: { state: VulnerabilitiesSearch }) {
  const t = useText(text);
  const format = useFormat();
  const query = useQuery(summaryQuery(state));
  return (
    <Loaded query={query} rows={4}>
      {(summary) => {
        const points = summary.trend.map(({ day, open }) => ({ start: Date.parse(day), value: open }));
        const from = points[0]?.start ?? 0;
        const to = points.at(-1)?.start ?? from;
        return (
          <div className="flex flex-col gap-3 px-3 pb-3 md:px-6">
            <Tiles summary={summary} state={state} />
            {summary.restart + summary.not_running > 0 && (
              <p className="m-0 text-sm text-text-2">
                {t("kernels", { restart: summary.restart, idle: summary.not_running })}
              </p>
            )}
            <div className="grid gap-3 lg:grid-cols-2">
              <Panel title={t("trend")}>
                <Lines
                  label={t("trend")}
                  lines={[{ name: t("open"), tone: "var(--accent)", points }]}
                  from={from}
                  to={Math.max(to, from + DAY_MS)}
                  stepMs={DAY_MS}
                  show={format.count}
                />
              </Panel>
              <Ratings summary={summary} />
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}
