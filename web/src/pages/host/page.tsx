import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import { useEffect, useMemo } from "react";
import { freshen } from "@/api/list";
import { useText } from "@/app/preferences";
import { bounds, RANGES, type Range, rangeText } from "@/app/range";
import type { Host } from "@/pages/hosts/data";
import { hostQuery } from "@/pages/hosts/data";
import { HostStatus, Labels } from "@/pages/hosts/parts";
import { Select } from "@/ui/form";
import { Loaded } from "@/ui/state";
import { Tabs } from "@/ui/tabs";
import { Actions } from "./actions";
import { AgentTab } from "./agent";
import type { Stretch } from "./data";
import { Evidence } from "./evidence/tab";
import { Inventory } from "./inventory/tab";
import { Files, Logins, Logs } from "./lists";
import { Network } from "./network";
import { HostPolicy } from "./policy";
import { Posture } from "./posture";
import { Processes } from "./processes";
import { Response } from "./response/tab";
import { type HostSearch, TABS, type Tab } from "./search";
import { text } from "./strings";
import { Timeline } from "./timeline";
import { Troubles } from "./troubles";
import { HostVulnerabilities } from "./vulnerabilities";

/** What agents send is told by no message of the live stream; it is looked up so often. */
const LOOK_MS = 10_000;
const RANGE: Range = "24h";

/** What every tab is given. */
export interface TabProps {
  host: Host;
  state: HostSearch;
  stretch: Stretch;
  onChange: (part: Partial<HostSearch>) => void;
  onBrush: (from: number, to: number) => void;
}

const VIEWS: Record<Tab, (props: TabProps) => React.ReactNode> = {
  posture: Posture,
  vulnerabilities: HostVulnerabilities,
  timeline: Timeline,
  processes: Processes,
  network: Network,
  files: Files,
  logins: Logins,
  logs: Logs,
  inventory: Inventory,
  evidence: Evidence,
  actions: Response,
  policy: HostPolicy,
  agent: AgentTab,
};

/** Everything about one machine. */
export default function HostPage() {
  const { id } = useParams({ from: "/inside/hosts/$id" });
  const query = useQuery(hostQuery(id));
  return (
    <Loaded query={query} rows={12}>
      {(host) => <Known host={host} />}
    </Loaded>
  );
}

function Known({ host }: { host: Host }) {
  const t = useText(text);
  const r = useText(rangeText);
  const client = useQueryClient();
  const state = useSearch({ from: "/inside/hosts/$id" });
  const navigate = useNavigate({ from: "/hosts/$id" });
  const { tab = "posture", range = RANGE, from, to } = state;
  // Its beginning is taken once when it is chosen, so that all pictures agree; its end is open while time goes on.
  const stretch = useMemo<Stretch>(() => (from && to ? { from, to } : { from: bounds(range).from }), [from, to, range]);
  const goesOn = !to;
  useEffect(() => {
    if (!goesOn) return;
    const timer = setInterval(() => freshen(client, ["host-events"], false), LOOK_MS);
    return () => clearInterval(timer);
  }, [client, goesOn]);
  const change = (part: Partial<HostSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const View = VIEWS[tab];
  return (
    <div className="flex h-full flex-col">
      <div className="shrink-0 px-4 md:px-6">
        <Link
          to="/hosts"
          className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
        >
          <ArrowLeft aria-hidden size={14} /> {t("back")}
        </Link>
        <header className="flex flex-wrap items-start gap-x-6 gap-y-3 pb-2 pt-1">
          <div className="min-w-0 flex-1 basis-80">
            <h1 className="m-0 truncate text-xl font-semibold tracking-[-0.012em]">{host.name}</h1>
            <div className="mt-1.5 flex flex-wrap items-center gap-x-3 gap-y-1.5 text-sm text-text-2">
              <HostStatus status={host.status} />
              <span>{host.os || host.platform}</span>
              {host.address && <span className="mono">{host.address}</span>}
              {host.groups.length > 0 && <Labels labels={host.groups} by="group" max={4} />}
              {host.tags.length > 0 && <Labels labels={host.tags} by="tag" max={4} />}
            </div>
          </div>
          <div className="flex flex-wrap items-center gap-2">
            <Select
              label={r("range")}
              value={from ? "chosen" : range}
              onChange={(next) =>
                next !== "chosen" &&
                change({ range: next === RANGE ? undefined : next, from: undefined, to: undefined })
              }
              options={[
                ...RANGES.map((one) => ({ value: one, label: r(one) })),
                ...(from ? [{ value: "chosen" as const, label: r("chosen") }] : []),
              ]}
            />
            <Actions host={host} />
          </div>
        </header>
        <Troubles host={host} />
      </div>
      <div className="shrink-0">
        <Tabs
          label={t("parts")}
          value={tab}
          onChange={(next) =>
            change({
              tab: next === "posture" ? undefined : next,
              q: undefined,
              only: undefined,
              view: undefined,
              list: undefined,
              show: undefined,
              event: undefined,
              kind: undefined,
              run: undefined,
            })
          }
          tabs={TABS.map((value) => ({ value, label: t(value) }))}
        />
      </div>
      <View
        host={host}
        state={state}
        stretch={stretch}
        onChange={change}
        onBrush={(start, end) => change({ from: new Date(start).toISOString(), to: new Date(end).toISOString() })}
      />
    </div>
  );
}
