import { useText } from "@/app/preferences";
import { SEVERITIES } from "@/ui/badge";
import { Select } from "@/ui/form";
import { ListSearch } from "@/ui/list";
import { text as ui } from "@/ui/strings";
import { Segmented } from "@/ui/tabs";
import { type AlertSearch, GROUPINGS } from "./search";
import { text } from "./strings";

type Which = "any" | "me" | "none" | "snoozed" | "suppressed";

/** Whose they are and what became of them, as one choice. */
const WHICH: Record<Which, Pick<AlertSearch, "assignee" | "snoozed" | "suppressed">> = {
  any: { assignee: undefined, snoozed: undefined, suppressed: undefined },
  me: { assignee: "me", snoozed: undefined, suppressed: undefined },
  none: { assignee: "none", snoozed: undefined, suppressed: undefined },
  snoozed: { assignee: undefined, snoozed: "only", suppressed: undefined },
  suppressed: { assignee: undefined, snoozed: undefined, suppressed: "only" },
};

function which(state: AlertSearch): Which {
  if (state.suppressed) return "suppressed";
  if (state.snoozed) return "snoozed";
  return state.assignee ?? "any";
}

/** The filters that one reaches for most. */
export function Filters({ state, onChange }: { state: AlertSearch; onChange: (part: Partial<AlertSearch>) => void }) {
  const t = useText(text);
  const u = useText(ui);
  return (
    <>
      <ListSearch label={t("search")} value={state.q} onSearch={(q) => onChange({ q })} />
      <Segmented
        label={t("status")}
        value={state.status ?? "open"}
        onChange={(status) => onChange({ status: status === "open" ? undefined : status })}
        tabs={(["open", "new", "acknowledged", "closed", "all"] as const).map((value) => ({ value, label: t(value) }))}
      />
      <Select
        label={t("severity")}
        value={state.severity ?? "any"}
        onChange={(severity) => onChange({ severity: severity === "any" ? undefined : severity })}
        options={[
          { value: "any" as const, label: t("anySeverity") },
          ...SEVERITIES.filter((level) => level !== "informational").map((level) => ({
            value: level,
            label: t("atLeast", { level: u(level) }),
          })),
        ]}
      />
      <Select
        label={t("which")}
        value={which(state)}
        onChange={(next) => onChange({ ...WHICH[next], ...(next === "suppressed" ? { status: "all" as const } : {}) })}
        options={[
          { value: "any" as const, label: t("whichAny") },
          { value: "me" as const, label: t("whichMine") },
          { value: "none" as const, label: t("whichNobody") },
          { value: "snoozed" as const, label: t("whichSnoozed") },
          { value: "suppressed" as const, label: t("whichSuppressed") },
        ]}
      />
      <Select
        label={t("replay")}
        value={state.replay ?? "include"}
        onChange={(replay) => onChange({ replay: replay === "include" ? undefined : replay })}
        options={[
          { value: "include" as const, label: t("replayInclude") },
          { value: "exclude" as const, label: t("replayExclude") },
          { value: "only" as const, label: t("replayOnly") },
        ]}
      />
      <Select
        label={t("grouping")}
        value={state.group ?? "none"}
        onChange={(group) => onChange({ group: group === "none" ? undefined : group })}
        options={[
          { value: "none" as const, label: t("groupNone") },
          ...GROUPINGS.map((by) => ({ value: by, label: t("groupBy", { by: t(by) }) })),
        ]}
      />
    </>
  );
}
