import { useQuery } from "@tanstack/react-query";
import { CircleAlert, CircleCheck } from "lucide-react";
import { useText } from "@/app/preferences";
import { Lines } from "@/charts/lines";
import { useFormat } from "@/i18n/format";
import { agentOf, CERTIFICATE_DAYS_MIN, certificateDays, lostRows } from "@/pages/hosts/data";
import { Skew, shortSpan } from "@/pages/hosts/parts";
import { LinkButton } from "@/ui/button";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { Ago, At } from "@/ui/time";
import { healthQuery } from "./data";
import type { TabProps } from "./page";
import { pointsOf, seriesOf } from "./series";
import { text } from "./strings";

const PERMILLE = 1 / 1000;

/** What the agent takes of its machine. */
function Use({ host, stretch, onBrush }: TabProps) {
  const t = useText(text);
  const format = useFormat();
  const query = useQuery(healthQuery(host.id, stretch));
  return (
    <Panel title={t("agentUse")}>
      <Loaded query={query} rows={4}>
        {(health) => {
          const common = {
            from: Date.parse(health.from),
            to: Date.parse(health.to),
            stepMs: health.step_seconds * 1000,
            onBrush,
          };
          const memory = pointsOf(seriesOf(health, "agent_memory"));
          const processor = pointsOf(seriesOf(health, "agent_cpu"), PERMILLE);
          if (memory.length + processor.length === 0) {
            return <p className="m-0 text-sm text-text-3">{t("noHealth")}</p>;
          }
          return (
            <div className="flex flex-col gap-4">
              <div>
                <div className="mb-1 text-xs text-text-3">{t("memory")}</div>
                <Lines
                  {...common}
                  label={t("memory")}
                  lines={[{ name: t("memory"), tone: "var(--accent)", points: memory }]}
                  show={(value) => format.bytes(Math.round(value))}
                />
              </div>
              <div>
                <div className="mb-1 text-xs text-text-3">{t("processor")}</div>
                <Lines
                  {...common}
                  label={t("processor")}
                  lines={[{ name: t("processor"), tone: "var(--low-fill)", points: processor }]}
                  show={format.percent}
                />
              </div>
            </div>
          );
        }}
      </Loaded>
    </Panel>
  );
}

/** How the agent is: what it complains of, what it lost, what waits, its clock and its certificate. */
export function AgentTab(props: TabProps) {
  const { host } = props;
  const t = useText(text);
  const format = useFormat();
  const { health } = host;
  const ends = certificateDays(host) < CERTIFICATE_DAYS_MIN;
  const heard = host.last_seen !== null && host.last_seen !== undefined;
  const number = (key: string, value: string) => (
    <span key={key} className="num">
      {value}
    </span>
  );
  return (
    <div className="grid items-start gap-4 px-4 pb-8 pt-4 md:px-6 lg:grid-cols-2">
      <div className="flex min-w-0 flex-col gap-4">
        <Panel title={t("agentFacts")}>
          <Facts
            items={[
              [t("version"), number("v", agentOf(host))],
              [t("clock"), heard && <Skew key="c" host={host} />],
              [t("round"), heard && number("r", shortSpan(health.round_us, format))],
              [t("spool"), heard && number("s", format.bytes(health.spool_bytes))],
              [t("memoryUsed"), heard && number("m", format.bytes(health.resident_bytes))],
              [t("cpuUsed"), heard && number("p", format.duration(Math.round(health.cpu_us / 1_000_000)))],
              [t("policy"), health.policy_version && number("y", String(health.policy_version))],
            ]}
          />
        </Panel>
        <Use {...props} />
      </div>
      <div className="flex min-w-0 flex-col gap-4">
        {host.certificate_serial && (
          <Panel title={t("certificate")}>
            <Facts
              items={[
                [
                  t("serial"),
                  <span key="s" className="mono break-all text-xs">
                    {host.certificate_serial}
                  </span>,
                ],
                [
                  t("until"),
                  <span key="u" className={ends ? "text-high" : ""}>
                    <At time={host.certificate_not_after} /> (<Ago time={host.certificate_not_after} />)
                  </span>,
                ],
              ]}
            />
            <p className="m-0 mt-3 text-xs text-text-3">{t("renewal")}</p>
          </Panel>
        )}
        <Panel title={t("complaints")}>
          {health.complaints.length === 0 ? (
            <p className="m-0 flex items-center gap-2 text-sm text-good">
              <CircleCheck aria-hidden size={15} /> {t("noComplaints")}
            </p>
          ) : (
            <ul className="m-0 flex list-none flex-col gap-2 p-0 text-sm">
              {health.complaints.map((complaint) => (
                <li key={complaint} className="flex items-start gap-2">
                  <CircleAlert aria-hidden size={15} className="mt-0.5 shrink-0 text-medium" />
                  <span className="min-w-0 break-words">{complaint}</span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel
          title={t("losses")}
          flush={lostRows(host) > 0}
          aside={
            <LinkButton look="quiet" to="/help/$" params={{ _splat: "agent" }}>
              {t("aboutLoss")}
            </LinkButton>
          }
        >
          {lostRows(host) === 0 ? (
            <p className="m-0 flex items-center gap-2 text-sm text-good">
              <CircleCheck aria-hidden size={15} /> {t("noLosses")}
            </p>
          ) : (
            <Table
              label={t("losses")}
              rows={health.lost}
              rowId={(loss) => `${loss.class}-${loss.place}`}
              heads={[
                { id: "class", label: t("clazz"), cell: (loss) => loss.class },
                { id: "place", label: t("place"), cell: (loss) => loss.place },
                { id: "rows", label: t("events"), end: true, cell: (loss) => format.number(loss.rows) },
              ]}
            />
          )}
        </Panel>
      </div>
    </div>
  );
}
