import { useText } from "@/app/preferences";
import { Badge, type Tone } from "@/ui/badge";
import { Facts } from "@/ui/panel";
import { StateBar } from "@/ui/state-bar";
import { At } from "@/ui/time";
import { actionForm, argumentsOf } from "./actions";
import { type Command, endedHosts, RUN_STATES } from "./data";
import { text } from "./strings";

const TONES: Record<string, Tone> = {
  queued: "neutral",
  sent: "low",
  running: "low",
  done: "good",
  failed: "critical",
  refused: "high",
  expired: "medium",
  cancelled: "neutral",
};
const FILLS: Record<string, string> = {
  queued: "bg-line-strong",
  sent: "bg-low-fill",
  running: "bg-low-fill",
  done: "bg-accent",
  failed: "bg-critical-fill",
  refused: "bg-high-fill",
  expired: "bg-medium-fill",
  cancelled: "bg-info-fill",
};

export function RunStateMark({ state }: { state: string }) {
  const t = useText(text);
  return <Badge tone={TONES[state] ?? "neutral"}>{state in text ? t(state as "done") : state}</Badge>;
}

/** The name of an action, whichever it is. */
export function useActionName(): (kind: string) => string {
  const t = useText(text);
  return (kind) => {
    const form = actionForm(kind);
    if (form) return t(form.label as "recheck");
    if (kind === "undo") return t("undone");
    return kind in text ? t(kind as "script") : kind;
  };
}

/** Why a command was given, until when it may begin, and its arguments. */
export function CommandFacts({ command }: { command: Command }) {
  const t = useText(text);
  return (
    <Facts
      items={[
        [t("reason"), command.reason],
        [t("hosts"), String(command.hosts)],
        [t("expires"), !command.ended && <At time={command.expires} />],
        ...argumentsOf(command.action).map(
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
  );
}

/** How far a command, or a question, has come. */
export function Progress({ command, words }: { command: Pick<Command, "states" | "hosts">; words?: boolean }) {
  const t = useText(text);
  const parts = RUN_STATES.map((state) => ({
    key: state,
    label: t(state),
    count: command.states[state] ?? 0,
    fill: FILLS[state] ?? "",
  }));
  return (
    <StateBar label={t("progress")} parts={parts} total={command.hosts} ended={endedHosts(command)} words={words} />
  );
}
