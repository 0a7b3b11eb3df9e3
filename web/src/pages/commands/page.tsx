import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { FilterX, Terminal } from "lucide-react";
import { useMemo } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { hostQuery } from "@/pages/hosts/data";
import { Views } from "@/saved/views";
import { Badge } from "@/ui/badge";
import { Button, LinkButton } from "@/ui/button";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListFrame, ListGrid } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Ago } from "@/ui/time";
import { ACTIONS } from "./actions";
import { type Command, commandsQuery, endedHosts } from "./data";
import { Progress, useActionName } from "./parts";
import { type CommandsSearch, commandsSearch } from "./search";
import { text } from "./strings";

function useCommandColumns(): readonly Column<Command>[] {
  const t = useText(text);
  const name = useActionName();
  return useMemo<readonly Column<Command>[]>(
    () => [
      {
        id: "kind",
        label: t("action"),
        width: 220,
        grow: 2,
        fixed: true,
        cell: (command) => (
          <span className="flex items-center gap-2">
            <Link
              to="/commands/$id"
              params={{ id: command.id }}
              className="truncate font-medium text-text no-underline hover:text-accent"
            >
              {name(command.kind)}
            </Link>
            {command.dry_run && <Badge tone="accent">{t("rehearsal")}</Badge>}
          </span>
        ),
        value: (command) => command.kind,
      },
      {
        id: "hosts",
        label: t("hosts"),
        width: 84,
        grow: 0,
        end: true,
        cell: (command) => command.hosts,
        value: (command) => command.hosts,
      },
      {
        id: "progress",
        label: t("progress"),
        width: 180,
        cell: (command) => <Progress command={command} />,
        value: (command) => `${endedHosts(command)}/${command.hosts}`,
      },
      {
        id: "reason",
        label: t("reason"),
        width: 180,
        grow: 2,
        cell: (command) => <span className="text-text-2">{command.reason || "–"}</span>,
        value: (command) => command.reason,
      },
      {
        id: "author",
        label: t("author"),
        width: 120,
        cell: (command) => command.author,
        value: (command) => command.author,
      },
      {
        id: "created",
        label: t("created"),
        width: 120,
        grow: 0,
        end: true,
        cell: (command) => <Ago time={command.created} />,
        value: (command) => command.created,
      },
    ],
    [t, name],
  );
}

/** What hosts were told to do, newest first. */
export default function CommandsPage() {
  const t = useText(text);
  const name = useActionName();
  const state = useSearch({ from: "/inside/commands" });
  const navigate = useNavigate({ from: "/commands" });
  const query = commandsQuery(state);
  const list = useRows(query);
  const columns = useCommandColumns();
  const { shown, ids, choose } = useColumns("commands", columns);
  const host = useQuery({ ...hostQuery(state.host ?? ""), enabled: state.host !== undefined });
  const change = (part: Partial<CommandsSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const filtered = Object.keys(state).length > 0;
  return (
    <ListFrame
      title={t("title")}
      detail={t("lead")}
      tools={
        <>
          <Views
            page="commands"
            search={state}
            ids={ids}
            choose={choose}
            onOpen={(view) => void navigate({ search: commandsSearch(view), replace: true })}
          />
          <ExportMenu name="commands" columns={columns} pages={() => allPages(query)} />
          <ColumnsMenu all={columns} ids={ids} choose={choose} />
        </>
      }
      filters={
        <>
          <Select
            label={t("action")}
            value={state.kind ?? "any"}
            onChange={(kind) => change({ kind: kind === "any" ? undefined : kind })}
            options={[
              { value: "any", label: t("anyAction") },
              ...[...ACTIONS.map(({ kind }) => kind), "undo"].map((kind) => ({
                value: kind,
                label: name(kind),
              })),
            ]}
          />
          {state.host && (
            <Button look="quiet" icon={FilterX} onClick={() => change({ host: undefined })}>
              {t("ofHost")}: {host.data?.name ?? "…"}
            </Button>
          )}
        </>
      }
    >
      <ListGrid
        list={list}
        label={t("title")}
        columns={shown}
        rowId={(command) => command.id}
        onOpen={(command) => void navigate({ to: "/commands/$id", params: { id: command.id } })}
        cardHeight={92}
        card={(command) => (
          <div className="flex h-full flex-col justify-between text-sm">
            <div className="flex items-center justify-between gap-3">
              <span className="truncate font-medium">{name(command.kind)}</span>
              <span className="shrink-0 text-xs text-text-3">
                <Ago time={command.created} />
              </span>
            </div>
            <Progress command={command} />
            <div className="flex items-center justify-between gap-3 text-xs text-text-3">
              <span className="truncate">{command.reason || command.author}</span>
              {command.dry_run && <Badge tone="accent">{t("rehearsal")}</Badge>}
            </div>
          </div>
        )}
        empty={
          <Empty
            icon={Terminal}
            title={t(filtered ? "noneFound" : "none")}
            action={<LinkButton to="/hosts">{t("toHosts")}</LinkButton>}
          >
            {!filtered && t("noneHint")}
          </Empty>
        }
      />
    </ListFrame>
  );
}
