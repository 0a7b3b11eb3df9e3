import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { Play, Terminal } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { RunSheet } from "@/pages/command/run";
import { ACTIONS, type Preset } from "@/pages/commands/actions";
import { type Command, commandQuery, type Run } from "@/pages/commands/data";
import { Give } from "@/pages/commands/give";
import { type Move, MoveDialog } from "@/pages/commands/moves";
import { useActionName } from "@/pages/commands/parts";
import { text as commands } from "@/pages/commands/strings";
import { Button, LinkButton } from "@/ui/button";
import { Select } from "@/ui/form";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid } from "@/ui/list";
import { Empty } from "@/ui/state";
import { done } from "@/ui/toast";
import { TabPanel, TabTools } from "../events";
import type { TabProps } from "../page";
import { DeedCard, type Doing, useDeedColumns } from "./columns";
import { type Deed, deedsQuery, withRuns } from "./data";
import { Standing } from "./standing";
import { text } from "./strings";

/** Everything with what the host said of it, for an export. */
async function* wholePages(client: QueryClient, host: string, kind: string | undefined) {
  for await (const page of allPages(deedsQuery(host, kind))) yield await withRuns(client, host, page);
}

/** What a host was told to do and what came of it; what of it holds now; and a way to have it do more. */
export function Response({ host, state, onChange }: TabProps) {
  const t = useText(text);
  const c = useText(commands);
  const name = useActionName();
  const client = useQueryClient();
  const may = useCan("hosts:command") && host.status !== "revoked";
  const list = useRows(deedsQuery(host.id, state.kind));
  const [giving, setGiving] = useState<{ preset?: Preset } | null>(null);
  const [chosen, setChosen] = useState<{ move: Move; command: Command; run: Run } | null>(null);
  const [moving, setMoving] = useState(false);
  const given = (command: Command) => done(t("given", { action: name(command.kind) }));
  const change = useRef(onChange);
  useEffect(() => {
    change.current = onChange;
  });
  const doing = useMemo<Doing>(
    () => ({
      open: (run) => change.current({ run }),
      move: (move, command, run) => {
        setChosen({ move, command, run });
        setMoving(true);
      },
    }),
    [],
  );
  const columns = useDeedColumns(host.id, doing);
  const { shown, ids, choose } = useColumns("host-actions", columns);
  const give = (look: "plain" | "primary") =>
    may && (
      <Button look={look} icon={Play} onClick={() => setGiving({})}>
        {c("give")}
      </Button>
    );
  return (
    <>
      <Standing host={host.id} onGive={(preset) => setGiving({ preset })} onOpen={doing.open} />
      <TabTools
        tools={
          <>
            {give("plain")}
            <ExportMenu
              name={`${host.name}-actions`}
              columns={columns}
              pages={() => wholePages(client, host.id, state.kind)}
            />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
          </>
        }
      >
        <Select
          label={c("action")}
          value={state.kind ?? "any"}
          onChange={(kind) => onChange({ kind: kind === "any" ? undefined : kind })}
          options={[
            { value: "any", label: c("anyAction") },
            ...[...ACTIONS.map(({ kind }) => kind), "undo"].map((kind) => ({ value: kind, label: name(kind) })),
          ]}
        />
      </TabTools>
      <TabPanel>
        <ListGrid
          list={list}
          label={t("all")}
          columns={shown}
          rowId={({ command }) => command.id}
          onOpen={({ command }) => doing.open(command.id)}
          cardHeight={96}
          card={(deed) => <DeedCard deed={deed} host={host.id} doing={doing} />}
          empty={
            state.kind ? (
              <Empty icon={Terminal} title={c("noneFound")} />
            ) : (
              <Empty
                icon={Terminal}
                title={t("none")}
                action={
                  <>
                    {give("primary")}
                    <LinkButton to="/help/$" params={{ _splat: "response" }}>
                      {t("learn")}
                    </LinkButton>
                  </>
                }
              >
                {t("noneHint")}
              </Empty>
            )
          }
        />
      </TabPanel>
      <Opened
        id={state.run}
        host={host.id}
        rows={list.rows}
        onClose={() => onChange({ run: undefined })}
        onGiven={given}
      />
      {chosen && (
        <MoveDialog
          {...chosen}
          key={`${chosen.command.id}-${chosen.move}`}
          move={moving ? chosen.move : null}
          onClose={() => setMoving(false)}
          hosts={() => Promise.resolve([host.id])}
          count={1}
          onGiven={given}
        />
      )}
      <Give
        open={giving !== null}
        onClose={() => setGiving(null)}
        count={1}
        hosts={() => Promise.resolve({ ids: [host.id] })}
        preset={giving?.preset}
        onGiven={given}
      />
    </>
  );
}

/** The run that the address names; its command may be further down than the list is loaded. */
function Opened({
  id,
  host,
  rows,
  onClose,
  onGiven,
}: {
  id: string | undefined;
  host: string;
  rows: readonly Deed[];
  onClose: () => void;
  onGiven: (command: Command) => void;
}) {
  const listed = rows.find(({ command }) => command.id === id)?.command;
  const query = useQuery({ ...commandQuery(id ?? ""), enabled: id !== undefined && !listed });
  const command = listed ?? query.data;
  if (!id || !command) return null;
  const here = {
    onGiven: (made: Command) => {
      onClose();
      onGiven(made);
    },
  };
  return <RunSheet command={command} host={host} onClose={onClose} here={here} />;
}
