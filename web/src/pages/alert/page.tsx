import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import { api, must } from "@/api/client";
import { EntityLink } from "@/app/entity-link";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { AttackTags } from "@/pages/alerts/columns";
import type { Alert } from "@/pages/alerts/data";
import { text } from "@/pages/alerts/strings";
import { AlertStatus, Badge, SeverityMark } from "@/ui/badge";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago, At } from "@/ui/time";
import { Evidence } from "./evidence";
import { Except } from "./except";
import { MeasureTiles } from "./measures";
import { MoreTriage, Similar } from "./more";
import { Triage } from "./triage";

export default function AlertPage() {
  const { id } = useParams({ from: "/inside/alerts/$id" });
  const query = useQuery({
    queryKey: ["alerts", "one", id],
    queryFn: () => must(api.GET("/api/v1/alerts/{id}", { params: { path: { id } } })),
  });
  return <Loaded query={query}>{(alert) => <Detail alert={alert} />}</Loaded>;
}

/** How the replays of test alerts begin. */
const TEST = "test-alert-";

/** What the alert is grouped by; the replay is told by its badge. */
function groupText(group: string): string {
  return group
    .split(", ")
    .filter((part) => !part.startsWith("replay="))
    .join(", ");
}

function Detail({ alert }: { alert: Alert }) {
  const t = useText(text);
  const format = useFormat();
  const triage = useCan("alerts:triage");
  const shown = groupText(alert.group);
  return (
    <div className="mx-auto max-w-[1400px] px-4 pb-8 md:px-6">
      <Link
        to="/alerts"
        className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
      >
        <ArrowLeft aria-hidden size={14} /> {t("back")}
      </Link>
      <header className="flex flex-wrap items-start gap-x-6 gap-y-3 pb-5 pt-2">
        <div className="min-w-0 flex-1 basis-80">
          <h1 className="m-0 text-xl font-semibold tracking-[-0.012em]">{alert.title}</h1>
          <div className="mt-2 flex flex-wrap items-center gap-x-4 gap-y-1.5">
            <SeverityMark severity={alert.severity} />
            <AlertStatus status={alert.status} />
            <EntityLink kind={alert.entity_kind} value={alert.entity} className="!text-text-2" />
            {alert.replay && (
              <span title={alert.replay} className="flex min-w-0 max-w-64">
                <Badge tone="medium" className="min-w-0">
                  <span className="truncate">{alert.replay.startsWith(TEST) ? t("testAlert") : alert.replay}</span>
                </Badge>
              </span>
            )}
            {alert.retro && <Badge tone="low">{t("sourceRetro")}</Badge>}
          </div>
        </div>
        {triage && (
          <div className="flex flex-wrap gap-2">
            <MoreTriage alert={alert} />
            <Except alert={alert} />
            <Triage alert={alert} />
          </div>
        )}
      </header>
      <div className="grid gap-4 lg:grid-cols-[minmax(0,1fr)_320px]">
        <div className="flex min-w-0 flex-col gap-4">
          <Panel title={t("what")}>
            <p className="m-0 max-w-[75ch] text-base leading-6">{alert.summary}</p>
          </Panel>
          {Object.keys(alert.measures).length > 0 && (
            <Panel title={t("why")}>
              <MeasureTiles measures={alert.measures} />
            </Panel>
          )}
          <Evidence alert={alert} />
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          {alert.next_steps.length > 0 && (
            <Panel title={t("next")}>
              <ol className="m-0 flex list-none flex-col gap-2.5 p-0 text-sm text-text-2">
                {alert.next_steps.map((step, index) => (
                  <li key={step} className="flex gap-2.5">
                    <span className="num flex size-5 shrink-0 items-center justify-center rounded-full border border-line-strong text-2xs text-text-3">
                      {index + 1}
                    </span>
                    <span>{step}</span>
                  </li>
                ))}
              </ol>
            </Panel>
          )}
          <Panel title={t("facts")}>
            <Facts
              items={[
                [t("entity"), <EntityLink key="e" kind={alert.entity_kind} value={alert.entity} />],
                [
                  t("group"),
                  shown && (
                    <span key="g" title={alert.group} className="mono break-all text-text-2">
                      {shown}
                    </span>
                  ),
                ],
                [
                  t("times"),
                  <span key="n" className="num">
                    {format.number(alert.count)}
                  </span>,
                ],
                [
                  t("rule"),
                  <Link
                    key="r"
                    to="/rules/$id"
                    params={{ id: alert.rule_id }}
                    className="text-text no-underline hover:text-accent"
                  >
                    {alert.title}
                  </Link>,
                ],
                [
                  t("incident"),
                  alert.incident && (
                    <Link key="i" to="/incidents/$id" params={{ id: alert.incident }} className="text-accent">
                      {t("openIncident")}
                    </Link>
                  ),
                ],
                [t("first"), <At key="f" time={alert.first_seen} />],
                [
                  t("last"),
                  <span key="l">
                    <At time={alert.last_seen} />{" "}
                    <span className="text-text-3">
                      (<Ago time={alert.last_seen} />)
                    </span>
                  </span>,
                ],
                ["ATT&CK", alert.attack.length > 0 && <AttackTags key="a" attack={alert.attack} max={6} />],
                [t("verdict"), alert.verdict && t(alert.verdict as "benign")],
                [t("reason"), alert.reason],
                [t("note"), alert.note],
              ]}
            />
          </Panel>
          <Similar alert={alert} />
        </div>
      </div>
    </div>
  );
}
