import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { PackageCheck, Plus, Rocket } from "lucide-react";
import { useMemo, useState } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { hostFiguresQuery } from "@/pages/hosts/data";
import { Button } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { Grid } from "@/ui/grid/grid";
import { ListFrame } from "@/ui/list";
import { Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Tabs } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { AddRelease } from "./add";
import { type Rollout, releasesQuery, rolloutsQuery, statesOf, versionsOf } from "./data";
import { HostStates, RolloutState } from "./parts";
import { Releases } from "./releases";
import { StartRollout } from "./start";
import { text } from "./strings";

function useRolloutColumns(): readonly Column<Rollout>[] {
  const t = useText(text);
  return useMemo<readonly Column<Rollout>[]>(
    () => [
      {
        id: "version",
        label: t("version"),
        width: 120,
        fixed: true,
        cell: (rollout) => (
          <Link
            to="/rollouts/$id"
            params={{ id: rollout.id }}
            className="font-medium text-text no-underline hover:text-accent"
          >
            {rollout.release_version}
          </Link>
        ),
      },
      { id: "state", label: t("state"), width: 120, grow: 0, cell: (one) => <RolloutState state={one.state} /> },
      {
        id: "progress",
        label: t("progress"),
        width: 220,
        grow: 2,
        cell: (rollout) => <HostStates states={statesOf(rollout.stages)} />,
      },
      {
        id: "stage",
        label: t("stage"),
        width: 90,
        grow: 0,
        cell: ({ stage, stages }) => t("stageOf", { n: Math.min(stage, stages.length), all: stages.length }),
      },
      { id: "hosts", label: t("hosts"), width: 84, grow: 0, end: true, cell: ({ hosts }) => hosts },
      {
        id: "reason",
        label: t("reason"),
        width: 200,
        grow: 2,
        cell: ({ reason }) => <span className="text-text-2">{reason || "–"}</span>,
      },
      { id: "author", label: t("author"), width: 120, cell: ({ author }) => author },
      { id: "created", label: t("created"), width: 120, grow: 0, end: true, cell: (one) => <Ago time={one.created} /> },
    ],
    [t],
  );
}

/** Which versions run on how many hosts, as a picture that leads to them. */
function Running() {
  const t = useText(text);
  const figures = useQuery(hostFiguresQuery);
  const versions = Object.entries(figures.data?.agent_versions ?? {}).sort(([, a], [, b]) => b - a);
  const most = Math.max(1, ...versions.map(([, hosts]) => hosts));
  return (
    <Panel title={t("running")}>
      {figures.data && versions.length === 0 && <p className="m-0 text-sm text-text-3">{t("noHosts")}</p>}
      <ul className="m-0 flex list-none flex-col gap-2 p-0">
        {versions.map(([name, hosts]) => (
          <li key={name} className="grid grid-cols-[96px_1fr_auto] items-center gap-3 text-sm">
            <Link
              to="/hosts"
              search={{ version: name }}
              className="mono truncate text-text no-underline hover:text-accent"
            >
              {name || "–"}
            </Link>
            <span aria-hidden className="h-2 overflow-hidden rounded-full bg-sunken">
              <span className="block h-full rounded-full bg-accent" style={{ width: `${(hosts / most) * 100}%` }} />
            </span>
            <span className="num text-text-2">{t("onHosts", { n: hosts })}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Releases of the agent, and their way to hosts. */
export default function VersionsPage() {
  const t = useText(text);
  const { tab = "rollouts" } = useSearch({ from: "/inside/versions" });
  const navigate = useNavigate({ from: "/versions" });
  const may = useCan("hosts:upgrade");
  const releases = useQuery(releasesQuery);
  const rollouts = useQuery(rolloutsQuery);
  const columns = useRolloutColumns();
  const [asking, setAsking] = useState<"add" | "start" | null>(null);
  const versions = versionsOf(releases.data ?? []);
  const show = (next: "rollouts" | "releases") =>
    void navigate({ search: next === "releases" ? { tab: next } : {}, replace: true });
  return (
    <>
      <ListFrame
        title={t("title")}
        detail={t("lead")}
        tools={
          may && (
            <>
              <Button icon={Plus} onClick={() => setAsking("add")}>
                {t("add")}
              </Button>
              <Button look="primary" icon={Rocket} disabled={versions.length === 0} onClick={() => setAsking("start")}>
                {t("start")}
              </Button>
            </>
          )
        }
        above={
          <div className="flex shrink-0 flex-col gap-3 pb-3">
            <div className="px-4 md:px-6">
              <Running />
            </div>
            <Tabs
              label={t("parts")}
              value={tab}
              onChange={show}
              tabs={[
                { value: "rollouts", label: t("rollouts") },
                { value: "releases", label: t("releases") },
              ]}
            />
          </div>
        }
      >
        {tab === "releases" ? (
          <Releases onAdd={() => setAsking("add")} />
        ) : (
          <Loaded query={rollouts}>
            {(all) => (
              <Grid
                label={t("rollouts")}
                columns={columns}
                rows={all}
                rowId={(rollout) => rollout.id}
                onOpen={(rollout) => void navigate({ to: "/rollouts/$id", params: { id: rollout.id } })}
                cardHeight={84}
                card={(rollout) => (
                  <div className="flex h-full flex-col justify-between text-sm">
                    <div className="flex items-center justify-between gap-3">
                      <span className="font-medium">{rollout.release_version}</span>
                      <RolloutState state={rollout.state} />
                    </div>
                    <HostStates states={statesOf(rollout.stages)} />
                    <span className="text-xs text-text-3">
                      <Ago time={rollout.created} />
                    </span>
                  </div>
                )}
                empty={
                  <Empty icon={PackageCheck} title={t("noRollout")}>
                    {t("noRolloutHint")}
                  </Empty>
                }
              />
            )}
          </Loaded>
        )}
      </ListFrame>
      <AddRelease
        open={asking === "add"}
        onClose={() => {
          setAsking(null);
        }}
      />
      <StartRollout open={asking === "start"} onClose={() => setAsking(null)} versions={versions} />
    </>
  );
}
