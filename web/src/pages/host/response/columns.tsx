import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Ellipsis, ListOrdered, SquareTerminal } from "lucide-react";
import { type ReactNode, useMemo } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { gistOf } from "@/pages/commands/actions";
import { isOpen, type Run, stateOn } from "@/pages/commands/data";
import { MOVE_ICONS, MOVE_WORDS, type Move, movesOnHost } from "@/pages/commands/moves";
import { RunStateMark, useActionName } from "@/pages/commands/parts";
import { text as commands } from "@/pages/commands/strings";
import { Says } from "@/pages/hosts/of-host";
import { Badge } from "@/ui/badge";
import { IconButton } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { Menu, MenuItem, MenuLine } from "@/ui/menu";
import { Ago } from "@/ui/time";
import { argumentsText, type Deed, endsAt, runHereQuery } from "./data";
import { text } from "./strings";

const None = () => <span className="text-text-3">–</span>;

/** What rows do about their commands. */
export interface Doing {
  open: (command: string) => void;
  move: (move: Move, command: Deed["command"], run: Run) => void;
}

/** The run of a row, asked for while the row is in sight. */
function useRun({ command, run }: Deed, host: string): Run | undefined {
  const query = useQuery({ ...runHereQuery(command, host), enabled: run === undefined });
  return run ?? query.data;
}

function Of({ deed, host, children }: { deed: Deed; host: string; children: (run: Run) => ReactNode }) {
  const run = useRun(deed, host);
  return run ? <>{children(run)}</> : <None />;
}

function State({ deed, host }: { deed: Deed; host: string }) {
  const state = stateOn(deed.command, useRun(deed, host));
  return state ? <RunStateMark state={state} /> : <None />;
}

function What({ deed: { command }, onOpen }: { deed: Deed; onOpen: () => void }) {
  const c = useText(commands);
  const name = useActionName();
  const gist = gistOf(command.action);
  return (
    <span className="flex min-w-0 items-center gap-2" title={gist || undefined}>
      <button type="button" onClick={onOpen} className="shrink-0 rounded-s font-medium hover:text-accent">
        {name(command.kind)}
      </button>
      {command.dry_run && <Badge tone="accent">{c("rehearsal")}</Badge>}
      {gist && <span className="mono truncate text-text-2">{gist}</span>}
    </span>
  );
}

/** When it ends by itself, or until when it may begin. */
function Ends({ deed, host }: { deed: Deed; host: string }) {
  const t = useText(text);
  const format = useFormat();
  const run = useRun(deed, host);
  const state = stateOn(deed.command, run);
  if (state && isOpen(state) && state !== "running") {
    const by = t("beginsBy", { when: format.time(deed.command.expires) });
    return (
      <span className="text-text-3" title={by}>
        {by}
      </span>
    );
  }
  if (run?.state !== "done" || deed.command.dry_run) return <None />;
  const ends = endsAt({ command: deed.command, run });
  if (ends !== null) return <span className="num whitespace-nowrap">{format.time(ends)}</span>;
  return deed.command.kind === "isolate" || deed.command.kind === "block" ? <>{t("noEnd")}</> : <None />;
}

function Moves({ deed, host, doing }: { deed: Deed; host: string; doing: Doing }) {
  const t = useText(text);
  const c = useText(commands);
  const name = useActionName();
  const navigate = useNavigate();
  const may = useCan("hosts:command");
  const run = useRun(deed, host);
  const { command } = deed;
  const moves = may && run ? movesOnHost(command, run) : [];
  return (
    <Menu
      trigger={
        <IconButton
          label={`${t("moves")}: ${[name(command.kind), gistOf(command.action)].filter(Boolean).join(" ")}`}
          icon={Ellipsis}
          className="!h-7"
        />
      }
    >
      <MenuItem icon={ListOrdered} onSelect={() => doing.open(command.id)}>
        {t("openRun")}
      </MenuItem>
      <MenuItem
        icon={SquareTerminal}
        onSelect={() => void navigate({ to: "/commands/$id", params: { id: command.id } })}
      >
        {t("toCommand")}
      </MenuItem>
      {moves.length > 0 && <MenuLine />}
      {run &&
        moves.map((one) => (
          <MenuItem key={one} icon={MOVE_ICONS[one]} onSelect={() => doing.move(one, command, run)}>
            {c(MOVE_WORDS[one])}
          </MenuItem>
        ))}
    </Menu>
  );
}

export function DeedCard({ deed, host, doing }: { deed: Deed; host: string; doing: Doing }) {
  const { command } = deed;
  return (
    <div className="flex h-full flex-col justify-between text-sm">
      <div className="flex items-center justify-between gap-3">
        <What deed={deed} onOpen={() => doing.open(command.id)} />
        <State deed={deed} host={host} />
      </div>
      <span className="truncate text-xs">
        <Of deed={deed} host={host}>
          {(run) => <Says text={run.text} />}
        </Of>
      </span>
      <div className="flex items-center justify-between gap-3 text-xs text-text-3">
        <span className="truncate">
          <Ago time={command.created} /> · {command.author}
          {command.reason && ` · ${command.reason}`}
        </span>
        <Moves deed={deed} host={host} doing={doing} />
      </div>
    </div>
  );
}

/** The columns of what a host was told to do. */
export function useDeedColumns(host: string, doing: Doing): readonly Column<Deed>[] {
  const t = useText(text);
  const c = useText(commands);
  return useMemo<readonly Column<Deed>[]>(() => {
    const time = (id: "sent" | "begun" | "ended", label: string, hidden?: boolean): Column<Deed> => ({
      id,
      label,
      width: 104,
      grow: 0,
      end: true,
      ...(hidden ? { hidden } : {}),
      cell: (deed) => (
        <Of deed={deed} host={host}>
          {(run) => <Ago time={run[id]} />}
        </Of>
      ),
      value: ({ run }) => run?.[id],
    });
    return [
      {
        id: "kind",
        label: c("what"),
        width: 250,
        grow: 3,
        fixed: true,
        cell: (deed) => <What deed={deed} onOpen={() => doing.open(deed.command.id)} />,
        value: ({ command }) => command.kind,
      },
      {
        id: "dry_run",
        label: c("rehearsal"),
        width: 90,
        grow: 0,
        hidden: true,
        cell: ({ command }) => (command.dry_run ? <Badge tone="accent">{c("rehearsal")}</Badge> : <None />),
        value: ({ command }) => command.dry_run,
      },
      {
        id: "arguments",
        label: t("arguments"),
        width: 200,
        hidden: true,
        cell: ({ command }) => <span className="mono text-xs">{argumentsText(command) || "–"}</span>,
        value: ({ command }) => argumentsText(command),
      },
      {
        id: "state",
        label: c("state"),
        width: 104,
        grow: 0,
        cell: (deed) => <State deed={deed} host={host} />,
        value: ({ command, run }) => stateOn(command, run),
      },
      {
        id: "text",
        label: c("says"),
        width: 200,
        grow: 3,
        cell: (deed) => (
          <Of deed={deed} host={host}>
            {(run) => <Says text={run.text} />}
          </Of>
        ),
        value: ({ run }) => run?.text,
      },
      {
        id: "author",
        label: t("by"),
        width: 150,
        grow: 2,
        cell: ({ command }) => (
          <span title={command.reason || undefined}>
            {command.author}
            {command.reason && <span className="text-text-3"> · {command.reason}</span>}
          </span>
        ),
        value: ({ command }) => command.author,
      },
      {
        id: "reason",
        label: c("reason"),
        width: 150,
        hidden: true,
        cell: ({ command }) => <span className="text-text-2">{command.reason || "–"}</span>,
        value: ({ command }) => command.reason,
      },
      {
        id: "created",
        label: c("created"),
        width: 104,
        grow: 0,
        end: true,
        cell: ({ command }) => <Ago time={command.created} />,
        value: ({ command }) => command.created,
      },
      time("sent", c("told"), true),
      time("begun", c("begun"), true),
      time("ended", c("ended")),
      {
        id: "until",
        label: t("endsItself"),
        width: 150,
        grow: 0,
        end: true,
        cell: (deed) => <Ends deed={deed} host={host} />,
        value: ({ command, run }) => {
          const ends = run ? endsAt({ command, run }) : null;
          return ends === null ? null : new Date(ends).toISOString();
        },
      },
      {
        id: "moves",
        label: t("moves"),
        quiet: true,
        width: 48,
        grow: 0,
        end: true,
        fixed: true,
        cell: (deed) => <Moves deed={deed} host={host} doing={doing} />,
      },
    ];
  }, [t, c, host, doing]);
}
