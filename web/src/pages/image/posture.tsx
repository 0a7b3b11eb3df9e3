import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useText } from "@/app/preferences";
import { Lines } from "@/charts/lines";
import { useFormat } from "@/i18n/format";
import type { ImageDetail } from "@/pages/images/data";
import { RunningOn } from "@/pages/images/parts";
import { text } from "@/pages/images/strings";
import { Facts, Panel } from "@/ui/panel";
import { At } from "@/ui/time";

const DAY_MS = 86_400_000;

function Tiles({ detail }: { detail: ImageDetail }) {
  const t = useText(text);
  const format = useFormat();
  const { image } = detail;
  const count = (value: number, bad: boolean): ReactNode => (
    <span className={`num text-xl font-semibold ${bad && value > 0 ? "text-critical" : ""}`}>
      {format.count(value)}
    </span>
  );
  const tiles: [string, ReactNode][] = [
    [t("open"), count(image.open, false)],
    [t("exploited"), count(image.exploited, true)],
    [t("overdue"), count(image.overdue, true)],
    [t("fixable"), count(image.fixable, false)],
    [t("inBase"), count(detail.base_open, false)],
    [t("inOwn"), count(detail.own_open, false)],
  ];
  return (
    <dl className="m-0 grid grid-cols-2 gap-px overflow-hidden rounded-box border border-line bg-line sm:grid-cols-3 xl:grid-cols-6">
      {tiles.map(([label, value]) => (
        <div key={label} className="bg-surface px-4 py-3">
          <dt className="truncate text-xs text-text-3">{label}</dt>
          <dd className="m-0 mt-1">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Upon what it was built: an image that is known, or what its own history says. */
function Base({ detail }: { detail: ImageDetail }) {
  const t = useText(text);
  const { base } = detail;
  if (!base) return null;
  if (!base.id) return t("baseLayers", { n: base.layers });
  return (
    <>
      <Link to="/images/$id" params={{ id: base.id }} className="mono">
        {base.name}
      </Link>{" "}
      <span className="text-text-3">{t("baseImage", { n: base.layers })}</span>
    </>
  );
}

/** What an image is, how much is wrong with it, and how it went. */
export function Posture({ detail }: { detail: ImageDetail }) {
  const t = useText(text);
  const format = useFormat();
  const { image } = detail;
  const points = detail.trend.map(({ day, open }) => ({ start: Date.parse(day), value: open }));
  const from = points[0]?.start ?? 0;
  const to = points.at(-1)?.start ?? from;
  return (
    <div className="flex flex-col gap-3 px-3 pb-3 md:px-6">
      <Tiles detail={detail} />
      <div className="grid gap-3 lg:grid-cols-2">
        <Panel title={t("facts")}>
          <Facts
            items={[
              [t("digest"), image.digest && <span className="mono break-all text-xs">{image.digest}</span>],
              [t("distribution"), [image.distribution || t("unknown"), image.architecture].filter(Boolean).join(" · ")],
              [
                t("packages"),
                image.unknown > 0
                  ? t("packagesOf", { n: image.packages, unknown: image.unknown })
                  : format.count(image.packages),
              ],
              [t("builtUpon"), detail.base && <Base detail={detail} />],
              [t("hosts"), image.hosts_total > 0 && <RunningOn image={image} all />],
              [t("exposure"), image.exposure === "unknown" ? t("unknown") : t(image.exposure as "internet")],
              [t("criticality"), t(image.criticality as "high")],
              [t("scanned"), <At key="scanned" time={image.scanned} />],
              [
                t("sent"),
                <span key="sent">
                  <At time={image.sent} /> · {image.sender}
                </span>,
              ],
              [t("judged"), image.judged ? <At key="judged" time={image.judged} /> : t("notJudged")],
            ]}
          />
        </Panel>
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
      </div>
    </div>
  );
}
