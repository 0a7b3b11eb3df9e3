import { useText } from "@/app/preferences";
import { Badge, type Tone } from "@/ui/badge";
import { actionForm } from "./actions";
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

/** How far a command has come: a part of the bar for each state, and the numbers in words. */
export function Progress({ command, words }: { command: Command; words?: boolean }) {
  const t = useText(text);
  const parts = RUN_STATES.filter((state) => (command.states[state] ?? 0) > 0);
  const said = parts.map((state) => `${t(state)} ${command.states[state]}`).join(", ");
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <div
        role="progressbar"
        aria-label={t("progress")}
        aria-valuemin={0}
        aria-valuemax={command.hosts}
        aria-valuenow={endedHosts(command)}
        aria-valuetext={said}
        title={said}
        className="flex h-1.5 overflow-hidden rounded-full bg-sunken"
      >
        {parts.map((state) => (
          <span
            key={state}
            className={FILLS[state]}
            style={{ width: `${((command.states[state] ?? 0) / Math.max(1, command.hosts)) * 100}%` }}
          />
        ))}
      </div>
      {words && (
        <div className="flex flex-wrap gap-x-4 gap-y-1 text-xs text-text-2">
          {parts.map((state) => (
            <span key={state} className="flex items-center gap-1.5">
              <span aria-hidden className={`size-2 rounded-[2px] ${FILLS[state]}`} />
              {t(state)} <span className="num font-medium">{command.states[state]}</span>
            </span>
          ))}
        </div>
      )}
    </div>
  );
}
