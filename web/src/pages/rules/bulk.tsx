import { Download, Pause, Play } from "lucide-react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useBulk } from "@/app/bulk";
import { fetchFile } from "@/app/fetch-file";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { BulkBar } from "@/ui/bulk-bar";
import { Button } from "@/ui/button";
import { NOTHING, type Selection } from "@/ui/grid/column";
import type { Rule } from "./data";
import { text } from "./strings";

function switchRule(id: string, on: boolean) {
  const params = { path: { id } };
  return must(
    on ? api.POST("/api/v1/rules/{id}/enable", { params }) : api.POST("/api/v1/rules/{id}/disable", { params }),
  );
}

/** What can be done with many rules at once: start, stop, export. Starting and stopping have a way back. */
export function RuleBulk({
  selection,
  rows,
  onSelect,
}: {
  selection: Selection;
  rows: readonly Rule[];
  onSelect: (selection: Selection) => void;
}) {
  const t = useText(text);
  const write = useCan("rules:write");
  const { act } = useAction();
  // A way back is `+id` for a rule that ran and `-id` for one that did not.
  const bulk = useBulk(["rules"], async (token) => {
    await switchRule(token.slice(1), token.startsWith("+"));
    return { changed: 1, kept: 0 };
  });
  const chosen = rows.filter((rule) => selection.all || selection.ids.has(rule.id));
  const apply = async (on: boolean) => {
    const left = chosen.filter((rule) => rule.enabled !== on);
    if (left.length > 0) {
      let changed = 0;
      await bulk.run(async () => {
        const rule = left[changed];
        if (!rule) return { changed, more: false };
        await switchRule(rule.id, on);
        changed += 1;
        return { changed: 1, more: changed < left.length, undo: `${on ? "-" : "+"}${rule.id}` };
      });
    }
    onSelect(NOTHING);
  };
  const save = () => {
    const ids = chosen.map((rule) => rule.id).join(",");
    void act(() => fetchFile(`/api/v1/rules/export?origin=all&ids=${ids}`, "guardian-rules.zip"));
  };
  return (
    <BulkBar
      selection={selection}
      onSelect={onSelect}
      loaded={rows.length}
      total={rows.length}
      busy={bulk.busy}
      changed={bulk.changed}
    >
      {write && (
        <>
          <Button icon={Play} disabled={bulk.busy} onClick={() => void apply(true)}>
            {t("run")}
          </Button>
          <Button icon={Pause} disabled={bulk.busy} onClick={() => void apply(false)}>
            {t("stop")}
          </Button>
        </>
      )}
      <Button icon={Download} disabled={bulk.busy} onClick={save}>
        {t("exportChosen")}
      </Button>
    </BulkBar>
  );
}
