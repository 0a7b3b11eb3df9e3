import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft, CircleX } from "lucide-react";
import { useMemo } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { type Command, commandQuery, RUN_STATES, type Run, runsQuery } from "@/pages/commands/data";
import { MoveButtons, movesOf } from "@/pages/commands/moves";
import { CommandFacts, Progress, RunStateMark, useActionName } from "@/pages/commands/parts";
import { text } from "@/pages/commands/strings";
import { HostCard, hostColumn, saysColumn } from "@/pages/hosts/of-host";
import { Badge } from "@/ui/badge";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid } from "@/ui/list";
import { Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { RunSheet } from "./run";

/** One command: how far its hosts have come, live, and what each says. */
export default function CommandPage() {
  const { id } = useParams({ from: "/inside/commands/$id" });
  const query = useQuery(commandQuery(id));
  return (
    <Loaded query={query} rows={10}>
      {(command) => <Known command={command} />}
    </Loaded>
  );
}

function useRunColumns(): readonly Column<Run>[] {
  const t = useText(text);
  return useMemo<readonly Column<Run>[]>(
    () => [
      hostColumn(t("host")),
      {
        id: "state",
        label: t("state"),
        width: 120,
        grow: 0,
        cell: (run) => <RunStateMark state={run.state} />,
        value: (run) => run.state,
      },
      saysColumn(t("says")),
      {
        id: "sent",
        label: t("told"),
        width: 120,
        grow: 0,
        end: true,
        cell: (run) => <Ago time={run.sent} />,
        value: (run) => run.sent,
      },
      {
        id: "ended",
        label: t("ended"),
        width: 120,
        grow: 0,
        end: true,
        cell: (run) => <Ago time={run.ended} />,
        value: (run) => run.ended,
      },
    ],
    [t],
  );
}

/** All hosts of a command, however many. */
async function hostsOf(command: Command): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of allPages(runsQuery(command.id))) ids.push(...page.map(({ host }) => host));
  return ids;
}

function Known({ command }: { command: Command }) {
  const t = useText(text);
  const name = useActionName();
  const { state, host } = useSearch({ from: "/inside/commands/$id" });
  const navigate = useNavigate({ from: "/commands/$id" });
  const query = runsQuery(command.id, state);
  const list = useRows(query);
  const columns = useRunColumns();
  const { shown, ids, choose } = useColumns("command-runs", columns);
  const change = (part: { state?: string | undefined; host?: string | undefined }) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  return (
    <div className="flex h-full flex-col">
      <div className="shrink-0 px-4 md:px-6">
        <Link
          to="/commands"
          className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
        >
          <ArrowLeft aria-hidden size={14} /> {t("back")}
        </Link>
        <header className="flex flex-wrap items-start gap-x-6 gap-y-3 pb-3 pt-1">
          <div className="min-w-0 flex-1 basis-80">
            <h1 className="m-0 truncate text-xl font-semibold tracking-[-0.012em]">{name(command.kind)}</h1>
            <div className="mt-1.5 flex flex-wrap items-center gap-x-3 gap-y-1.5 text-sm text-text-2">
              {command.dry_run && <Badge tone="accent">{t("rehearsal")}</Badge>}
              <Badge tone={command.ended ? "neutral" : "low"}>{t(command.ended ? "ended" : "running")}</Badge>
              {command.cancelled && <Badge tone="medium">{t("cancelled")}</Badge>}
              <span>
                {command.author} · <Ago time={command.created} />
              </span>
            </div>
          </div>
          <MoveButtons
            command={command}
            moves={movesOf(command)}
            hosts={() => hostsOf(command)}
            count={command.hosts}
          />
        </header>
      </div>
      <div className="grid shrink-0 items-start gap-4 px-4 pb-3 md:px-6 lg:grid-cols-2">
        <Panel title={t("progress")}>
          <div role="status">
            <Progress command={command} words />
          </div>
        </Panel>
        <Panel title={t("facts")}>
          <CommandFacts command={command} />
        </Panel>
      </div>
      <div className="filter-row shrink-0 px-4 pb-3 md:px-6">
        <Select
          label={t("state")}
          value={state ?? "any"}
          onChange={(next) => change({ state: next === "any" ? undefined : next })}
          options={[
            { value: "any", label: t("anyState") },
            ...RUN_STATES.map((one) => ({ value: one as string, label: t(one) })),
          ]}
        />
        <span className="ml-auto flex gap-2">
          <ExportMenu name={`command-${command.kind}`} columns={columns} pages={() => allPages(query)} />
          <ColumnsMenu all={columns} ids={ids} choose={choose} />
        </span>
      </div>
      <div className="panel mx-3 mb-3 flex min-h-72 flex-1 shrink-0 flex-col overflow-hidden md:mx-6 md:mb-6">
        <ListGrid
          list={list}
          label={t("hosts")}
          columns={shown}
          rowId={(run) => run.id}
          onOpen={(run) => change({ host: run.host })}
          cardHeight={68}
          card={(run) => <HostCard row={run} mark={<RunStateMark state={run.state} />} />}
          empty={<Empty icon={CircleX} title={t("noneFound")} />}
        />
      </div>
      <RunSheet command={command} host={host} onClose={() => change({ host: undefined })} />
    </div>
  );
}
