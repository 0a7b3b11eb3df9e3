import { useText } from "@/app/preferences";
import type { Format } from "@/i18n/format";
import { Badge, type Tone } from "@/ui/badge";
import { StateBar } from "@/ui/state-bar";
import { endedOf, HOST_STATES, type HostState, partsOf, type StageBody, totalOf } from "./data";
import { text } from "./strings";

const ROLLOUT_TONES: Record<string, Tone> = {
  running: "low",
  paused: "medium",
  done: "good",
  failed: "critical",
  aborted: "neutral",
};
const HOST_TONES: Record<HostState, Tone> = {
  waiting: "neutral",
  offered: "low",
  fetching: "low",
  trying: "low",
  connected: "low",
  done: "good",
  going_back: "medium",
  refused: "high",
  failed: "critical",
  rolled_back: "critical",
  reverted: "neutral",
};

export function RolloutState({ state }: { state: string }) {
  const t = useText(text);
  const known = state in ROLLOUT_TONES ? t(`state_${state}` as "state_running") : state;
  return <Badge tone={ROLLOUT_TONES[state] ?? "neutral"}>{known}</Badge>;
}

export function HostStateMark({ state }: { state: string }) {
  const t = useText(text);
  if (!(state in HOST_STATES)) return <Badge>{state}</Badge>;
  return <Badge tone={HOST_TONES[state as HostState]}>{t(state as HostState)}</Badge>;
}

/** How far hosts have come with a release. */
export function HostStates({ states, words }: { states: Record<string, number>; words?: boolean }) {
  const t = useText(text);
  return (
    <StateBar
      label={t("progress")}
      parts={partsOf(states, (state) => t(state))}
      total={totalOf(states)}
      ended={endedOf(states)}
      words={words}
    />
  );
}

/** Who is in a stage, in words. */
export function useStageWords(): (stage: StageBody, format: Format) => string {
  const t = useText(text);
  return (stage, format) => {
    const who = [
      ...(stage.group ? [t("inGroup", { group: stage.group })] : []),
      ...(stage.filter ? [t("thatFit", { filter: stage.filter })] : []),
    ];
    if (who.length === 0) who.push(t("everyHost"));
    if ((stage.percent ?? 100) < 100) who.push(t("part", { percent: stage.percent ?? 100 }));
    if ((stage.wait_s ?? 0) > 0) who.push(t("thenWait", { span: format.duration(stage.wait_s ?? 0) }));
    return who.join(", ");
  };
}
