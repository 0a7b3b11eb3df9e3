import { useState } from "react";
import { useFreshen } from "@/api/list";
import { useText } from "@/app/preferences";
import { catalogue } from "@/i18n/text";
import { text as ui } from "@/ui/strings";
import { done } from "@/ui/toast";
import { useAction } from "./action";

const text = catalogue({
  changed: ["{n} changed", "{n} geändert"],
  undone: ["{n} {n|is|are} as before", "{n} {n|ist|sind} wie zuvor"],
  kept: [
    "{n} {n|is|are} as before; {kept} changed since and were left alone",
    "{n} {n|ist|sind} wie zuvor; {kept} seither geändert und belassen",
  ],
});

interface Answer {
  changed: number;
  more: boolean;
  undo?: string | null;
}

/** Changes many things in steps, counts them as it goes, and offers the way back. `lists` are loaded anew afterwards. */
export function useBulk(
  lists: readonly string[],
  undoOne: (token: string) => Promise<{ changed: number; kept: number }>,
) {
  const t = useText(text);
  const u = useText(ui);
  const refresh = useFreshen(...lists);
  const { busy, act } = useAction();
  const [changed, setChanged] = useState(0);

  const undo = async (tokens: readonly string[]) => {
    let back = 0;
    let kept = 0;
    for (const token of tokens) {
      const answer = await act(() => undoOne(token));
      back += answer?.changed ?? 0;
      kept += answer?.kept ?? 0;
    }
    refresh();
    done(kept > 0 ? t("kept", { n: back, kept }) : t("undone", { n: back }));
  };

  /** Runs one step after the other until none is left. */
  const run = async (step: () => Promise<Answer>): Promise<number> => {
    const tokens: string[] = [];
    let sum = 0;
    for (;;) {
      const answer = await act(step);
      if (!answer) break;
      sum += answer.changed;
      setChanged(sum);
      if (answer.undo) tokens.push(answer.undo);
      if (!answer.more || answer.changed === 0) break;
    }
    setChanged(0);
    refresh();
    const way = tokens.length > 0 ? { label: u("undo"), run: () => void undo(tokens) } : undefined;
    if (sum > 0) done(t("changed", { n: sum }), way);
    return sum;
  };
  return { busy, changed, run };
}
