import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { type Line, Lines } from "@/charts/lines";
import { useFormat } from "@/i18n/format";
import { agentOf } from "@/pages/hosts/data";
import { text as hosts } from "@/pages/hosts/strings";
import { SeverityMark } from "@/ui/badge";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago, At } from "@/ui/time";
import { activityQuery, type HostHealth, healthQuery, hostAlertsQuery, openAlertsQuery } from "./data";
import type { TabProps } from "./page";
import { type Filled, filled, last, pointsOf, seriesOf, summed, taken } from "./series";
import { text } from "./strings";

const SHOWN = 6;
/** Values of processor shares are thousandths, loads thousandths of a process. */
const PERMILLE = 1 / 1000;

interface Tile {
  label: string;
  link: ReactNode;
}

/** What deserves a look, in numbers that lead there. */
function Tiles({ host, stretch }: TabProps) {
  const t = useText(text);
  const format = useFormat();
  const activity = useQuery(activityQuery(host.id, stretch));
  const alerts = useQuery({ ...openAlertsQuery(host.name), enabled: useCan("alerts:read") });
  const noted = activity.data?.notable ?? {};
  const number = (value: number | undefined) => (value === undefined ? "–" : format.count(value));
  const look = "num text-xl font-semibold no-underline hover:text-accent after:absolute after:inset-0";
  const tab = (
    name: "processes" | "network" | "files" | "logins" | "logs",
    value: number | undefined,
    bad: boolean,
  ) => (
    <Link
      from="/hosts/$id"
      to="/hosts/$id"
      params={{ id: host.id }}
      search={(before) => ({
        ...before,
        tab: name,
        only: "notable" as const,
        ...(name === "processes" ? { view: "list" as const } : {}),
      })}
      className={`${look} ${bad && (value ?? 0) > 0 ? "text-high" : "text-text"}`}
    >
      {number(value)}
    </Link>
  );
  const open = alerts.data?.total;
  const tiles: Tile[] = [
    {
      label: t("alerts"),
      link: (
        <Link
          to="/alerts"
          search={{ entity: host.name }}
          className={`${look} ${(open ?? 0) > 0 ? "text-critical" : "text-text"}`}
        >
          {number(open)}
        </Link>
      ),
    },
    { label: t("unexplained"), link: tab("files", noted.files, true) },
    { label: t("refused"), link: tab("logins", noted.logins, true) },
    { label: t("elevated"), link: tab("processes", noted.processes, false) },
    { label: t("listened"), link: tab("network", noted.connections, false) },
    { label: t("errors"), link: tab("logs", noted.logs, false) },
  ];
  return (
    <dl className="m-0 grid grid-cols-2 gap-px overflow-hidden rounded-box border border-line bg-line sm:grid-cols-3 xl:grid-cols-6">
      {tiles.map(({ label, link }) => (
        <div key={label} className="relative bg-surface px-4 py-3 hover:bg-hover">
          <dt className="truncate text-xs text-text-3">{label}</dt>
          <dd className="m-0 mt-1">{link}</dd>
        </div>
      ))}
    </dl>
  );
}

function Chart({
  title,
  lines,
  health,
  show,
  top,
  now,
  onBrush,
}: {
  title: string;
  lines: readonly Line[];
  health: HostHealth;
  show: (value: number) => string;
  top?: number | undefined;
  now?: string | undefined;
  onBrush: TabProps["onBrush"];
}) {
  const there = lines.filter((line) => line.points.length > 0);
  if (there.length === 0) return null;
  return (
    <Panel title={title} aside={now && <span className="num text-sm font-semibold">{now}</span>}>
      <Lines
        label={title}
        lines={there}
        from={Date.parse(health.from)}
        to={Date.parse(health.to)}
        stepMs={health.step_seconds * 1000}
        show={show}
        onBrush={onBrush}
        {...(top ? { top } : {})}
      />
      {there.length > 1 && (
        <div className="mt-1 flex flex-wrap gap-x-4 text-xs text-text-3">
          {there.map((line) => (
            <span key={line.name} className="flex items-center gap-1.5">
              <span className="size-2 rounded-[2px]" style={{ background: line.tone }} />
              {line.name}
            </span>
          ))}
        </div>
      )}
    </Panel>
  );
}

function Filesystems({ all }: { all: readonly Filled[] }) {
  const t = useText(text);
  const format = useFormat();
  if (all.length === 0) return null;
  return (
    <Panel title={t("filesystems")}>
      <ul className="m-0 flex list-none flex-col gap-3 p-0">
        {all.slice(0, SHOWN).map(({ name, used, total }) => {
          const share = used / total;
          const tone = share > 0.95 ? "bg-critical-fill" : share > 0.85 ? "bg-medium-fill" : "bg-accent";
          return (
            <li key={name} className="text-sm">
              <div className="flex justify-between gap-3">
                <span className="mono truncate">{name}</span>
                <span className="num shrink-0 text-text-2">
                  {t("usedOf", { used: format.bytes(used), total: format.bytes(total) })}
                </span>
              </div>
              <div aria-hidden className="mt-1 h-1.5 overflow-hidden rounded-full bg-sunken">
                <div className={`h-full rounded-full ${tone}`} style={{ width: `${share * 100}%` }} />
              </div>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

function Charts({ health, onBrush }: { health: HostHealth; onBrush: TabProps["onBrush"] }) {
  const t = useText(text);
  const format = useFormat();
  if (health.series.length === 0) {
    return <p className="m-0 py-8 text-center text-sm text-text-3">{t("noHealth")}</p>;
  }
  const line = (name: string, points: Line["points"], tone = "var(--accent)"): Line => ({ name, tone, points });
  const shares = (metric: string) => pointsOf(seriesOf(health, metric), PERMILLE);
  const busy = shares("cpu_busy");
  const whole = pointsOf(seriesOf(health, "memory_total"));
  const memory = taken(whole, pointsOf(seriesOf(health, "memory_available")));
  const most = last(whole) ?? undefined;
  const load = pointsOf(seriesOf(health, "load_1m"), PERMILLE);
  const rate = (value: number) => t("perSecond", { value: format.bytes(Math.round(value)) });
  const second = "var(--low-fill)";
  const common = { health, onBrush };
  const [busyNow, memoryNow, loadNow] = [last(busy), last(memory), last(load)];
  const decimals = (value: number) => format.number(Math.round(value * 100) / 100);
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      <Chart
        {...common}
        title={t("processor")}
        lines={[line(t("busy"), busy), line(t("waiting"), shares("cpu_waiting"), "var(--medium-fill)")]}
        show={format.percent}
        top={1}
        now={busyNow === null ? undefined : format.percent(busyNow)}
      />
      <Chart
        {...common}
        title={t("memory")}
        lines={[line(t("used"), memory)]}
        show={(value) => format.bytes(Math.round(value))}
        top={most}
        now={memoryNow === null ? undefined : format.bytes(Math.round(memoryNow))}
      />
      <Chart
        {...common}
        title={t("load")}
        lines={[line(t("load1"), load), line(t("load15"), pointsOf(seriesOf(health, "load_15m"), PERMILLE), second)]}
        show={decimals}
        now={loadNow === null ? undefined : decimals(loadNow)}
      />
      <Chart
        {...common}
        title={t("disks")}
        lines={[
          line(t("read"), summed(health, "disk_read")),
          line(t("written"), summed(health, "disk_written"), second),
        ]}
        show={rate}
      />
      <Chart
        {...common}
        title={t("networkIo")}
        lines={[
          line(t("received"), summed(health, "network_received")),
          line(t("sent"), summed(health, "network_sent"), second),
        ]}
        show={rate}
      />
      <Filesystems all={filled(health)} />
      {health.truncated && <p className="m-0 text-sm text-text-3">{t("truncated")}</p>}
    </div>
  );
}

function NewestAlerts({ host, stretch }: TabProps) {
  const t = useText(text);
  const query = useQuery(hostAlertsQuery(host.name, stretch));
  return (
    <Panel
      title={t("newestAlerts")}
      flush
      aside={
        <Link
          to="/alerts"
          search={{ entity: host.name, status: "all" }}
          className="text-xs text-accent no-underline hover:underline"
        >
          {t("allAlerts")}
        </Link>
      }
    >
      <Loaded query={query} rows={3}>
        {(alerts) =>
          alerts.length === 0 ? (
            <p className="m-0 px-4 pb-4 text-sm text-text-3">{t("noAlerts")}</p>
          ) : (
            <ol aria-label={t("newestAlerts")} className="m-0 list-none p-0 pb-2">
              {alerts.slice(0, SHOWN).map((alert) => (
                <li key={alert.id}>
                  <Link
                    to="/alerts/$id"
                    params={{ id: alert.id }}
                    className="flex items-center gap-3 px-4 py-2 text-sm text-text no-underline hover:bg-hover"
                  >
                    <SeverityMark severity={alert.severity} bare />
                    <span className="min-w-0 flex-1">
                      <span className="block truncate font-medium">{alert.title}</span>
                      <span className="block truncate text-xs text-text-3">{alert.summary}</span>
                    </span>
                    <span className="shrink-0 text-xs text-text-3">
                      <Ago time={alert.last_seen} />
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

/** How the machine is: what deserves a look, how busy it is, what was said about it. */
export function Posture(props: TabProps) {
  const { host, stretch, onBrush } = props;
  const t = useText(text);
  const h = useText(hosts);
  const query = useQuery(healthQuery(host.id, stretch));
  const seesAlerts = useCan("alerts:read");
  const up = query.data && last(pointsOf(seriesOf(query.data, "uptime")));
  return (
    <div className="flex flex-col gap-4 px-4 pb-8 pt-4 md:px-6">
      <Tiles {...props} />
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_340px]">
        <div className="min-w-0">
          <Loaded query={query} rows={8}>
            {(health) => <Charts health={health} onBrush={onBrush} />}
          </Loaded>
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          {seesAlerts && <NewestAlerts {...props} />}
          <Panel title={t("facts")}>
            <Facts
              items={[
                [h("os"), host.os],
                [
                  h("kernel"),
                  <span key="k" className="mono">
                    {host.kernel}
                  </span>,
                ],
                [h("architecture"), host.architecture],
                [h("address"), host.address && <span className="mono">{host.address}</span>],
                [
                  t("uptime"),
                  up !== null && up !== undefined && host.last_seen && (
                    <At key="u" time={new Date(Date.parse(host.last_seen) - up * 1000).toISOString()} />
                  ),
                ],
                [h("agentVersion"), agentOf(host)],
                [h("enrolled"), <At key="e" time={host.enrolled} />],
                [h("lastSeen"), <Ago key="l" time={host.last_seen} />],
                [
                  t("id"),
                  <span key="i" className="mono break-all text-xs">
                    {host.id}
                  </span>,
                ],
              ]}
            />
          </Panel>
        </div>
      </div>
    </div>
  );
}
