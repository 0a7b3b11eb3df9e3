import { Link } from "@tanstack/react-router";
import { CircleAlert, CircleCheck } from "lucide-react";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { bounds, type Range } from "@/app/range";
import { Bars } from "@/charts/bars";
import { Ranking } from "@/charts/ranking";
import { useFormat } from "@/i18n/format";
import { useKpis } from "@/live/live";
import { AlertStatus, SEVERITIES, SeverityMark } from "@/ui/badge";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Ago } from "@/ui/time";
import { ALERTS_MAX, useAlerts, useStorage, useTop, useTraffic } from "./data";
import { text } from "./strings";

const LEVELS = [...SEVERITIES].reverse();
const FILLS = LEVELS.map((level) => (level === "informational" ? "var(--info-fill)" : `var(--${level}-fill)`));
const BUCKETS = 48;

function Nothing({ children }: { children: string }) {
  return <p className="m-0 py-8 text-center text-sm text-text-3">{children}</p>;
}

export function Volume({ range }: { range: Range }) {
  const t = useText(text);
  const u = useText(ui);
  const query = useAlerts(range);
  const { bars, from, to, stepMs } = useMemo(() => {
    const ends = bounds(range, query.dataUpdatedAt || Date.now());
    const from = Date.parse(ends.from);
    const to = Date.parse(ends.to);
    const stepMs = (to - from) / BUCKETS;
    const parts = Array.from({ length: BUCKETS }, () => LEVELS.map(() => 0));
    for (const alert of query.data ?? []) {
      const bucket =
        parts[Math.min(BUCKETS - 1, Math.max(0, Math.floor((Date.parse(alert.last_seen) - from) / stepMs)))];
      const level = LEVELS.indexOf(alert.severity as (typeof LEVELS)[number]);
      if (bucket && level >= 0) bucket[level] = (bucket[level] ?? 0) + 1;
    }
    return {
      bars: parts.map((p, i) => ({ start: from + i * stepMs, parts: p })).filter((bar) => bar.parts.some((n) => n > 0)),
      from,
      to,
      stepMs,
    };
  }, [query.data, query.dataUpdatedAt, range]);
  return (
    <Panel
      title={t("volume")}
      aside={
        <span className="flex gap-3 text-xs text-text-3 max-sm:hidden">
          {(query.data?.length ?? 0) >= ALERTS_MAX && <span>{t("ofNewest", { n: ALERTS_MAX })}</span>}
          {SEVERITIES.slice(0, 4).map((level) => (
            <span key={level} className="flex items-center gap-1.5">
              <span className="size-2 rounded-[2px]" style={{ background: `var(--${level}-fill)` }} />
              {u(level)}
            </span>
          ))}
        </span>
      }
    >
      <Loaded query={query} rows={4}>
        {() =>
          bars.length === 0 ? (
            <Nothing>{t("noAlerts")}</Nothing>
          ) : (
            <Bars
              label={t("volume")}
              bars={bars}
              from={from}
              to={to}
              stepMs={stepMs}
              fills={FILLS}
              names={LEVELS.map((level) => u(level))}
              height={148}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

export function Feed({ range }: { range: Range }) {
  const t = useText(text);
  const query = useAlerts(range);
  return (
    <Panel
      title={t("feed")}
      flush
      aside={
        <Link to="/alerts" className="text-xs text-text-3 hover:text-accent">
          {t("all")}
        </Link>
      }
    >
      <Loaded query={query} rows={6}>
        {(alerts) =>
          alerts.length === 0 ? (
            <Nothing>{t("noAlerts")}</Nothing>
          ) : (
            <ol className="m-0 list-none p-0 pb-2">
              {alerts.slice(0, 7).map((alert) => (
                <li key={alert.id}>
                  <Link
                    to="/alerts/$id"
                    params={{ id: alert.id }}
                    className="pop flex items-center gap-3 px-4 py-2 text-sm text-text no-underline hover:bg-hover"
                  >
                    <SeverityMark severity={alert.severity} bare />
                    <span className="min-w-0 flex-1">
                      <span className="block truncate font-medium">{alert.title}</span>
                      <span className="mono block truncate text-xs text-text-3">{alert.entity}</span>
                    </span>
                    <span className="flex shrink-0 flex-col items-end gap-0.5 text-xs text-text-3">
                      <Ago time={alert.last_seen} />
                      {alert.status !== "new" && <AlertStatus status={alert.status} />}
                    </span>
                  </Link>
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </Panel>
  );
}

export function Traffic({ range }: { range: Range }) {
  const t = useText(text);
  const query = useTraffic(range);
  return (
    <Panel title={t("traffic")}>
      <Loaded query={query} rows={4}>
        {(data) =>
          data.buckets.length === 0 ? (
            <Nothing>{t("noFlows")}</Nothing>
          ) : (
            <Bars
              label={t("traffic")}
              from={Date.parse(data.from)}
              to={Date.parse(data.to)}
              stepMs={data.step_seconds * 1000}
              bars={data.buckets.map((bucket) => ({ start: Date.parse(bucket.start), parts: [bucket.flows] }))}
              fills={["var(--accent)"]}
              names={[t("flows")]}
              height={148}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

export function Talkers({ range }: { range: Range }) {
  const t = useText(text);
  const format = useFormat();
  const query = useTop("src_ip", range);
  return (
    <Panel title={t("talkers")}>
      <Loaded query={query}>
        {(items) =>
          items.length === 0 ? (
            <Nothing>{t("noFlows")}</Nothing>
          ) : (
            <Ranking
              label={t("talkers")}
              rows={items.map((item) => ({
                key: item.key,
                label: (
                  <Link
                    to="/hunt"
                    search={{ filter: `ip = ${item.key}`, range }}
                    className="mono truncate text-text no-underline hover:text-accent"
                  >
                    {item.key}
                  </Link>
                ),
                value: item.bytes,
                shown: format.bytes(item.bytes),
              }))}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

export function Health() {
  const t = useText(text);
  const format = useFormat();
  const kpis = useKpis();
  const query = useStorage();
  return (
    <Panel title={t("health")}>
      <Loaded query={query} rows={5}>
        {(storage) => {
          const troubles = [
            storage.read_only ? t("readOnly", { why: storage.read_only }) : "",
            storage.quarantined_files > 0 ? t("quarantined", { n: storage.quarantined_files }) : "",
            (kpis?.exporters_waiting ?? 0) > 0 ? t("waiting", { n: kpis?.exporters_waiting ?? 0 }) : "",
          ].filter(Boolean);
          return (
            <>
              <div
                className={`mb-3 flex items-center gap-2 text-sm font-medium ${troubles.length > 0 ? "text-medium" : "text-good"}`}
              >
                {troubles.length > 0 ? <CircleAlert aria-hidden size={16} /> : <CircleCheck aria-hidden size={16} />}
                {t(troubles.length > 0 ? "degraded" : "healthy")}
              </div>
              {troubles.map((trouble) => (
                <p key={trouble} className="m-0 mb-2 text-sm text-text-2">
                  {trouble}
                </p>
              ))}
              <Facts
                items={[
                  [
                    t("stored"),
                    <span key="r" className="num">
                      {format.number(storage.rows)}
                    </span>,
                  ],
                  [
                    t("onDisk"),
                    <span key="b" className="num">
                      {format.bytes(storage.file_bytes)}
                    </span>,
                  ],
                  [
                    t("oldest"),
                    storage.oldest_received !== null && (
                      <Ago key="o" time={new Date(storage.oldest_received / 1000).toISOString()} />
                    ),
                  ],
                  [
                    t("lag"),
                    <span key="l" className="num">
                      {format.bytes(storage.wal_lag_bytes)}
                    </span>,
                  ],
                  [
                    t("memory"),
                    kpis && (
                      <span key="m" className="num">
                        {format.bytes(kpis.resident_bytes)}
                      </span>
                    ),
                  ],
                ]}
              />
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}
