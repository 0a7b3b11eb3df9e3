import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft, CircleX, Play } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { allPages, useFreshen, useRows } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { actionForm } from "@/pages/commands/actions";
import { type Command, commandQuery, RUN_STATES, type Run, runsQuery } from "@/pages/commands/data";
import { Progress, RunStateMark, useActionName } from "@/pages/commands/parts";
import { text } from "@/pages/commands/strings";
import { HostCard, hostColumn, saysColumn } from "@/pages/hosts/of-host";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid } from "@/ui/list";
import { Confirm } from "@/ui/overlay";
import { Facts, Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Ago, At } from "@/ui/time";
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

function Actions({ command }: { command: Command }) {
  const t = useText(text);
  const name = useActionName();
  const navigate = useNavigate();
  const may = useCan("hosts:command");
  const refresh = useFreshen("commands");
  const { act } = useAction();
  const [asking, setAsking] = useState<"cancel" | "real" | null>(null);
  if (!may) return null;
  const real = async () => {
    const made = await act(async () => {
      const ids: string[] = [];
      for await (const page of allPages(runsQuery(command.id))) ids.push(...page.map(({ host }) => host));
      const { action, reason, timeout_s } = command;
      const body = { action: action as Record<string, never>, hosts: { ids }, dry_run: false, reason, timeout_s };
      return must(api.POST("/api/v1/commands", { body: body as never }));
    });
    if (!made) return;
    refresh();
    await navigate({ to: "/commands/$id", params: { id: made.id } });
  };
  return (
    <span className="flex flex-wrap gap-2">
      {command.dry_run && command.ended && (
        <Button
          look={actionForm(command.kind)?.danger ? "danger" : "primary"}
          icon={Play}
          onClick={() => setAsking("real")}
        >
          {t("doIt")}
        </Button>
      )}
      {!command.ended && !command.cancelled && (
        <Button icon={CircleX} onClick={() => setAsking("cancel")}>
          {t("callOff")}
        </Button>
      )}
      <Confirm
        open={asking === "real"}
        onClose={() => setAsking(null)}
        title={t("doItTitle", { action: name(command.kind), n: command.hosts })}
        description={t("doItHint")}
        action={t("now")}
        danger
        onConfirm={real}
      />
      <Confirm
        open={asking === "cancel"}
        onClose={() => setAsking(null)}
        title={t("callOffTitle")}
        description={t("callOffHint")}
        action={t("callOff")}
        danger
        onConfirm={async () => {
          const params = { path: { id: command.id } };
          await act(() => must(api.POST("/api/v1/commands/{id}/cancel", { params })), t("calledOff"));
          refresh();
        }}
      />
    </span>
  );
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
  const { kind: _, ...given } = command.action as Record<string, unknown>;
  const told = Object.entries(given).filter(
    ([, value]) => value !== "" && value !== false && value !== 0 && !(Array.isArray(value) && value.length === 0),
  );
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
          <Actions command={command} />
        </header>
      </div>
      <div className="grid shrink-0 items-start gap-4 px-4 pb-3 md:px-6 lg:grid-cols-2">
        <Panel title={t("progress")}>
          <div role="status">
            <Progress command={command} words />
          </div>
        </Panel>
        <Panel title={t("facts")}>
          <Facts
            items={[
              [t("reason"), command.reason],
              [t("hosts"), String(command.hosts)],
              [t("expires"), !command.ended && <At time={command.expires} />],
              ...told.map(
                ([key, value]) =>
                  [
                    key,
                    <span key={key} className="mono break-all">
                      {Array.isArray(value) ? value.join(", ") : String(value)}
                    </span>,
                  ] as const,
              ),
            ]}
          />
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
