import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { AttackTags } from "@/pages/alerts/columns";
import type { Incident } from "@/pages/incidents/data";
import { ClockText, IncidentStatus, Owner } from "@/pages/incidents/parts";
import { text } from "@/pages/incidents/strings";
import { Badge, SeverityMark } from "@/ui/badge";
import { Markdown } from "@/ui/markdown";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Tabs } from "@/ui/tabs";
import { At } from "@/ui/time";
import { IncidentAlerts } from "./alerts";
import { AttackView } from "./attack";
import { Entities } from "./entities";
import { EvidenceFiles } from "./evidence";
import { Related } from "./related";
import { Actions } from "./status";
import { Tasks } from "./tasks";
import { Timeline } from "./timeline";
import { Watchers } from "./watchers";

const TABS = ["timeline", "alerts", "tasks", "entities", "evidence", "attack", "related"] as const;
type Tab = (typeof TABS)[number];

const VIEWS: Record<Tab, (props: { incident: Incident }) => React.ReactNode> = {
  timeline: Timeline,
  alerts: IncidentAlerts,
  tasks: Tasks,
  entities: Entities,
  evidence: EvidenceFiles,
  attack: AttackView,
  related: Related,
};

export default function IncidentPage() {
  const { id } = useParams({ from: "/inside/incidents/$id" });
  const query = useQuery({
    queryKey: ["incidents", "one", id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}", { params: { path: { id } } })),
  });
  return <Loaded query={query}>{(incident) => <Detail incident={incident} />}</Loaded>;
}

const ORIGINS: Record<string, "originManual" | "originAlerts" | "originCorrelation"> = {
  manual: "originManual",
  alerts: "originAlerts",
  correlation: "originCorrelation",
};

function Detail({ incident }: { incident: Incident }) {
  const t = useText(text);
  const { tab } = useSearch({ from: "/inside/incidents/$id" });
  const navigate = useNavigate({ from: "/incidents/$id" });
  const current = TABS.find((known) => known === tab) ?? "timeline";
  const View = VIEWS[current];
  const counts: Partial<Record<Tab, number>> = {
    alerts: incident.counts.alerts,
    tasks: incident.counts.tasks,
    entities: incident.counts.entities,
    evidence: incident.counts.evidence,
  };
  return (
    <div className="mx-auto max-w-[1400px] pb-8">
      <div className="px-4 md:px-6">
        <Link
          to="/incidents"
          className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
        >
          <ArrowLeft aria-hidden size={14} /> {t("back")}
        </Link>
        <header className="flex flex-wrap items-start gap-x-6 gap-y-3 pb-3 pt-2">
          <div className="min-w-0 flex-1 basis-80">
            <h1 className="m-0 text-xl font-semibold tracking-[-0.012em]">
              <span className="num mr-2 text-text-3">#{incident.number}</span>
              {incident.title}
            </h1>
            <div className="mt-2 flex flex-wrap items-center gap-x-4 gap-y-1.5 text-sm">
              <SeverityMark severity={incident.severity} />
              <IncidentStatus status={incident.status} />
              <Owner incident={incident} />
              {incident.tags.map((tag) => (
                <Badge key={tag}>{tag}</Badge>
              ))}
            </div>
          </div>
          <Actions incident={incident} />
        </header>
        {incident.merged_into && (
          <p role="status" className="m-0 mb-3 rounded-m border border-line bg-medium-soft px-3 py-2 text-sm">
            {t("isMerged")}{" "}
            <Link to="/incidents/$id" params={{ id: incident.merged_into }} className="font-medium text-accent">
              {t("toMerged")}
            </Link>
          </p>
        )}
      </div>
      <Tabs
        label={t("view")}
        value={current}
        onChange={(next) => void navigate({ search: next === "timeline" ? {} : { tab: next }, replace: true })}
        tabs={TABS.map((value) => ({ value, label: t(value), count: counts[value] }))}
      />
      <div className="grid gap-4 px-4 pt-4 md:px-6 lg:grid-cols-[minmax(0,1fr)_320px]">
        <div className="min-w-0">
          <View incident={incident} />
        </div>
        <div className="flex min-w-0 flex-col gap-4">
          <Panel title={t("clocks")}>
            <Facts
              items={[
                [t("acknowledge"), <ClockText key="a" clock={incident.sla.acknowledge} />],
                [t("contain"), <ClockText key="c" clock={incident.sla.contain} />],
                [t("resolve"), <ClockText key="r" clock={incident.sla.resolve} />],
              ]}
            />
          </Panel>
          {incident.summary && (
            <Panel title={t("summary")}>
              <Markdown text={incident.summary} />
            </Panel>
          )}
          <Panel title={t("facts")}>
            <Facts
              items={[
                [t("kind"), t(incident.kind as "general")],
                [t("origin"), t(ORIGINS[incident.origin] ?? "originManual")],
                [t("firstSeen"), <At key="f" time={incident.first_seen} />],
                [t("lastSeen"), <At key="l" time={incident.last_seen} />],
                ["ATT&CK", incident.attack.length > 0 && <AttackTags key="a" attack={incident.attack} max={8} />],
                [t("verdict"), incident.verdict && t(incident.verdict as "benign")],
                [t("resolution"), incident.resolution],
              ]}
            />
          </Panel>
          <Watchers incident={incident} />
        </div>
      </div>
    </div>
  );
}
