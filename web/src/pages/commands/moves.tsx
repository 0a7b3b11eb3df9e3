import { useNavigate } from "@tanstack/react-router";
import { CircleX, type LucideIcon, Play, RotateCcw, Undo2 } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { Button } from "@/ui/button";
import { Confirm } from "@/ui/overlay";
import { actionForm, presetOf } from "./actions";
import { type Command, isOpen, outcomeOf, type Run } from "./data";
import { Give } from "./give";
import { useActionName } from "./parts";
import { text } from "./strings";

/** What can be done about something that hosts were told to do. */
export type Move = "undo" | "real" | "callOff" | "again";

export const MOVE_ICONS: Record<Move, LucideIcon> = { undo: Undo2, real: Play, callOff: CircleX, again: RotateCcw };
export const MOVE_WORDS = { undo: "undo", real: "doIt", callOff: "callOff", again: "again" } as const;

/** What can be done about a whole command: to give a rehearsal for real, to call off what goes on. */
export function movesOf(command: Command): Move[] {
  if (command.ended) return command.dry_run ? ["real"] : [];
  return command.cancelled ? [] : ["callOff"];
}

/** What can be done about it on one host. */
export function movesOnHost(command: Command, run: Run): Move[] {
  if (isOpen(run.state)) return command.cancelled ? [] : ["callOff"];
  const moves: Move[] = [];
  if (run.state === "done" && !command.dry_run && outcomeOf(run).undo) moves.push("undo");
  if (run.state === "done" && command.dry_run) moves.push("real");
  if (actionForm(command.kind)) moves.push("again");
  return moves;
}

interface MoveProps {
  command: Command;
  /** What it is done about; for a command as a whole there is none. */
  run?: Run | undefined;
  /** Which hosts do it for real, or again. */
  hosts: () => Promise<string[]>;
  count: number;
  /** Where to go on with the command that came of it; to its page if nothing is said. */
  onGiven?: ((command: Command) => void) | undefined;
}

/** Asks before the move that was chosen, and makes it. */
export function MoveDialog({
  move,
  onClose,
  command,
  run,
  hosts,
  count,
  onGiven,
}: MoveProps & { move: Move | null; onClose: () => void }) {
  const t = useText(text);
  const name = useActionName();
  const navigate = useNavigate();
  const refresh = useFreshen("commands");
  const { act } = useAction();
  const give = async (body: object) => {
    const made = await act(() => must(api.POST("/api/v1/commands", { body: body as never })));
    refresh();
    if (!made) return;
    if (onGiven) onGiven(made);
    else await navigate({ to: "/commands/$id", params: { id: made.id } });
  };
  const real = async () => {
    const { action, reason, timeout_s } = command;
    const ids = await act(hosts);
    if (ids) await give({ action, hosts: { ids }, dry_run: false, reason, timeout_s });
  };
  const undo = async () => {
    if (!run) return;
    const action = { kind: "undo", command: run.id };
    await give({ action, hosts: { ids: [run.host] }, dry_run: false, reason: "" });
  };
  return (
    <>
      <Confirm
        open={move === "undo"}
        onClose={onClose}
        title={t("undoTitle", { host: run?.host_name ?? "" })}
        description={t("undoHint")}
        action={t("undone")}
        onConfirm={undo}
      />
      <Confirm
        open={move === "real"}
        onClose={onClose}
        title={t("doItTitle", { action: name(command.kind), n: count })}
        description={t("doItHint")}
        action={t("now")}
        danger
        onConfirm={real}
      />
      <Confirm
        open={move === "callOff"}
        onClose={onClose}
        title={t("callOffTitle")}
        description={
          <>
            {run && command.hosts > 1 && <p className="m-0 mb-2">{t("callOffAll", { n: command.hosts })}</p>}
            {t("callOffHint")}
          </>
        }
        action={t("callOff")}
        danger
        onConfirm={async () => {
          const params = { path: { id: command.id } };
          await act(() => must(api.POST("/api/v1/commands/{id}/cancel", { params })), t("calledOff"));
          refresh();
        }}
      />
      <Give
        open={move === "again"}
        onClose={onClose}
        count={count}
        hosts={async () => ({ ids: await hosts() })}
        preset={presetOf(command.action) ?? undefined}
        onGiven={onGiven}
      />
    </>
  );
}

/** A button for each move, for those who may. */
export function MoveButtons({ moves, ...props }: MoveProps & { moves: readonly Move[] }) {
  const t = useText(text);
  const may = useCan("hosts:command");
  const [move, setMove] = useState<Move | null>(null);
  if (!may) return null;
  const look = (one: Move) =>
    one !== "real" ? "plain" : actionForm(props.command.kind)?.danger ? "danger" : "primary";
  return (
    <span className="flex flex-wrap gap-2">
      {moves.map((one) => (
        <Button key={one} look={look(one)} icon={MOVE_ICONS[one]} onClick={() => setMove(one)}>
          {t(MOVE_WORDS[one])}
        </Button>
      ))}
      <MoveDialog {...props} move={move} onClose={() => setMove(null)} />
    </span>
  );
}
