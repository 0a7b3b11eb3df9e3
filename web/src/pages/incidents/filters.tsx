import { useQuery } from "@tanstack/react-query";
import { FilterX } from "lucide-react";
import { useText } from "@/app/preferences";
import { SEVERITIES } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Select } from "@/ui/form";
import { ListSearch } from "@/ui/list";
import { text as ui } from "@/ui/strings";
import { Segmented } from "@/ui/tabs";
import { facetsQuery, KINDS } from "./data";
import type { IncidentSearch } from "./search";
import { text } from "./strings";

export function Filters({
  state,
  onChange,
}: {
  state: IncidentSearch;
  onChange: (part: Partial<IncidentSearch>) => void;
}) {
  const t = useText(text);
  const u = useText(ui);
  const facets = useQuery(facetsQuery(state));
  const tags = facets.data?.tag ?? [];
  const filtered = Object.keys(state).some((key) => !["sort", "view", "which"].includes(key));
  return (
    <>
      <ListSearch label={t("search")} value={state.q} onSearch={(q) => onChange({ q })} />
      <Segmented
        label={t("which")}
        value={state.which ?? "open"}
        onChange={(which) => onChange({ which: which === "open" ? undefined : which })}
        tabs={(["open", "mine", "watching", "all"] as const).map((value) => ({ value, label: t(value) }))}
      />
      <Select
        label={t("severity")}
        value={state.severity ?? "any"}
        onChange={(severity) => onChange({ severity: severity === "any" ? undefined : severity })}
        options={[
          { value: "any" as const, label: `${t("severity")}: ${t("all")}` },
          ...SEVERITIES.filter((level) => level !== "informational").map((level) => ({
            value: level,
            label: `≥ ${u(level)}`,
          })),
        ]}
      />
      <Select
        label={t("kind")}
        value={state.kind ?? "any"}
        onChange={(kind) => onChange({ kind: kind === "any" ? undefined : kind })}
        options={[
          { value: "any", label: `${t("kind")}: ${t("all")}` },
          ...KINDS.map((value) => ({ value: value as string, label: t(value) })),
        ]}
      />
      <Select
        label={t("clocks")}
        value={state.sla ?? "any"}
        onChange={(sla) => onChange({ sla: sla === "any" ? undefined : sla })}
        options={[
          { value: "any" as const, label: `${t("clocks")}: ${t("all")}` },
          { value: "warning" as const, label: t("clockWarning") },
          { value: "breached" as const, label: t("clockBreached") },
        ]}
      />
      {(tags.length > 0 || state.tag) && (
        <Select
          label={t("tags")}
          value={state.tag ?? "any"}
          onChange={(tag) => onChange({ tag: tag === "any" ? undefined : tag })}
          options={[
            { value: "any", label: `${t("tags")}: ${t("all")}` },
            ...tags.map((tag) => ({ value: tag.value, label: `${tag.label || tag.value} (${tag.count})` })),
            ...(state.tag && !tags.some((tag) => tag.value === state.tag)
              ? [{ value: state.tag, label: state.tag }]
              : []),
          ]}
        />
      )}
      {filtered && (
        <Button
          look="quiet"
          icon={FilterX}
          onClick={() =>
            onChange({
              q: undefined,
              severity: undefined,
              kind: undefined,
              sla: undefined,
              tag: undefined,
              attack: undefined,
              entity: undefined,
            })
          }
        >
          {t("clearFilters")}
        </Button>
      )}
    </>
  );
}
