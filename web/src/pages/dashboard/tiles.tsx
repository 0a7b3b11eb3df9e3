import { Link } from "@tanstack/react-router";
import { EntityLink } from "@/app/entity-link";
import { useText } from "@/app/preferences";
import { Bars } from "@/charts/bars";
import { Matrix } from "@/charts/matrix";
import { Ranking } from "@/charts/ranking";
import { byTactic } from "@/charts/tactics";
import { useFormat } from "@/i18n/format";
import { useKpis } from "@/live/live";
import { FILLS, LEVELS } from "@/pages/alerts/volume";
import { AlertStatus, Badge, SEVERITIES, SeverityMark } from "@/ui/badge";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Ago } from "@/ui/time";
import { type TileProps, useFeed } from "./data";
import { text } from "./strings";

export function Nothing({ children }: { children: string }) {
  return <p className="m-0 py-8 text-center text-sm text-text-3">{children}</p>;
}

export function Volume({ data, replays }: TileProps) {
  const t = useText(text);
  const u = useText(ui);
  const bars = data.alerts_by_severity
    .filter((bucket) => bucket.total > 0)
    .map((bucket) => ({ start: Date.parse(bucket.start), parts: LEVELS.map((level) => bucket[level]) }));
  return (
    <Panel
      title={t("volume")}
      aside={
        <span className="flex gap-3 text-xs text-text-3 max-sm:hidden">
          {SEVERITIES.slice(0, 4).map((level) => (
            <span key={level} className="flex items-center gap-1.5">
              <span className="size-2 rounded-[2px]" style={{ background: `var(--${level}-fill)` }} />
              {u(level)}
            </span>
          ))}
        </span>
      }
    >
      {bars.length === 0 ? (
        <Nothing>{t(replays ? "noAlerts" : "noAlertsLive")}</Nothing>
      ) : (
        <Bars
          label={t("volume")}
          bars={bars}
          from={Date.parse(data.from)}
          to={Date.parse(data.to)}
          stepMs={data.step_seconds * 1000}
          fills={FILLS}
          names={LEVELS.map((level) => u(level))}
          height={148}
        />
      )}
    </Panel>
  );
}

/** The newest alerts as they arrive, whatever the span. */
export function Feed() {
  const t = useText(text);
  const query = useFeed();
  return (
    <Panel
      title={t("feed")}
      flush
      aside={
        <Link to="/alerts" className="text-xs text-accent no-underline hover:underline">
          {t("all")}
        </Link>
      }
    >
      <Loaded query={query} rows={6}>
        {(alerts) =>
          alerts.length === 0 ? (
            <Nothing>{t("noAlertsYet")}</Nothing>
          ) : (
            <ol aria-label={t("feed")} aria-live="polite" className="m-0 list-none p-0 pb-2">
              {alerts.map((alert) => (
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
                      {alert.status !== "new" ? (
                        <AlertStatus status={alert.status} />
                      ) : (
                        alert.replay && <Badge tone="medium">{t("replayed")}</Badge>
                      )}
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

export function Traffic({ data, replays }: TileProps) {
  const t = useText(text);
  const format = useFormat();
  const live = useKpis();
  const series = data.kpis.find((kpi) => kpi.id === "flows")?.series ?? [];
  const from = Date.parse(data.from);
  const stepMs = data.step_seconds * 1000;
  return (
    <Panel
      title={t("traffic")}
      aside={
        live && (
          <span className="num text-xs text-text-3">
            {t("liveRate", {
              flows: format.count(live.flows_per_second),
              bytes: format.bytes(live.bytes_per_second),
            })}
          </span>
        )
      }
    >
      {series.every((n) => n === 0) ? (
        <Nothing>{t(replays ? "noFlows" : "noFlowsLive")}</Nothing>
      ) : (
        <Bars
          label={t("traffic")}
          from={from}
          to={Date.parse(data.to)}
          stepMs={stepMs}
          bars={series.map((flows, step) => ({ start: from + step * stepMs, parts: [flows] }))}
          fills={["var(--accent)"]}
          names={[t("flows")]}
          height={148}
        />
      )}
    </Panel>
  );
}

export function Talkers({ data }: TileProps) {
  const t = useText(text);
  const format = useFormat();
  return (
    <Panel title={t("talkers")}>
      {data.top_talkers.length === 0 ? (
        <Nothing>{t("noFlows")}</Nothing>
      ) : (
        <Ranking
          label={t("talkers")}
          rows={data.top_talkers.map((talker) => ({
            key: talker.entity,
            label: <EntityLink kind="ip" value={talker.entity} />,
            value: talker.bytes,
            shown: format.bytes(talker.bytes),
          }))}
        />
      )}
    </Panel>
  );
}

export function Attack({ data, replays }: TileProps) {
  const t = useText(text);
  const tactics = byTactic(data.attack);
  return (
    <Panel title={t("attack")}>
      {tactics.length === 0 ? (
        <Nothing>{t("noTechniques")}</Nothing>
      ) : (
        <Matrix
          label={t("attack")}
          tactics={tactics}
          search={(id) => ({
            attack: id.toLowerCase(),
            status: "all",
            from: data.from,
            to: data.to,
            ...(replays ? {} : { replay: "exclude" as const }),
          })}
        />
      )}
    </Panel>
  );
}

export function Rules({ data }: TileProps) {
  const t = useText(text);
  const format = useFormat();
  return (
    <Panel title={t("rules")}>
      {data.rules.length === 0 ? (
        <Nothing>{t("noAlerts")}</Nothing>
      ) : (
        <Ranking
          label={t("rules")}
          rows={data.rules.map((rule) => ({
            key: rule.id,
            label: (
              <Link
                to="/alerts"
                search={{ rule: rule.id, status: "all", from: data.from, to: data.to }}
                className="truncate text-text no-underline hover:text-accent"
              >
                {rule.title}
              </Link>
            ),
            value: rule.alerts,
            shown: format.number(rule.alerts),
          }))}
        />
      )}
    </Panel>
  );
}

export function Incidents({ data }: TileProps) {
  const t = useText(text);
  const format = useFormat();
  const open = (data.incidents?.by_severity ?? {}) as Record<string, number>;
  return (
    <Panel title={t("incidents")}>
      {SEVERITIES.every((severity) => !open[severity]) ? (
        <Nothing>{t("noIncidents")}</Nothing>
      ) : (
        <Ranking
          label={t("incidents")}
          rows={SEVERITIES.map((severity) => ({
            key: severity,
            label: (
              <Link to="/incidents" className="no-underline">
                <SeverityMark severity={severity} />
              </Link>
            ),
            value: open[severity] ?? 0,
            shown: format.number(open[severity] ?? 0),
          }))}
        />
      )}
    </Panel>
  );
}
