import { X } from "lucide-react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { catalogue } from "@/i18n/text";
import type { AlertSearch } from "./search";

const text = catalogue({
  remove: ["Remove the filter {name}", "Filter {name} entfernen"],
  rule: ["Rule", "Regel"],
  entity: ["Entity", "Entität"],
  attack: ["Technique", "Technik"],
  time: ["Time", "Zeit"],
  incident: ["Incident", "Vorfall"],
  none: ["none", "keiner"],
});

/** Filters that came by a link or a brush, each with its way out. */
export function Chips({ state, onChange }: { state: AlertSearch; onChange: (part: Partial<AlertSearch>) => void }) {
  const t = useText(text);
  const format = useFormat();
  const chips: [name: string, value: string, clear: Partial<AlertSearch>][] = [];
  if (state.rule) chips.push([t("rule"), state.rule, { rule: undefined }]);
  if (state.entity) chips.push([t("entity"), state.entity, { entity: undefined }]);
  if (state.attack) chips.push([t("attack"), state.attack.toUpperCase(), { attack: undefined }]);
  if (state.incident) {
    chips.push([t("incident"), state.incident === "none" ? t("none") : state.incident, { incident: undefined }]);
  }
  if (state.from && state.to) {
    chips.push([
      t("time"),
      `${format.time(state.from)} – ${format.time(state.to)}`,
      { from: undefined, to: undefined },
    ]);
  }
  return chips.map(([name, value, clear]) => (
    <span
      key={name}
      className="inline-flex h-(--control) max-w-full items-center gap-1.5 rounded-m border border-accent/40 bg-accent-soft pl-2.5 pr-1 text-sm"
    >
      <span className="text-text-3">{name}</span>
      <span className="num max-w-56 truncate">{value}</span>
      <button
        type="button"
        aria-label={t("remove", { name })}
        onClick={() => onChange(clear)}
        className="flex size-6 items-center justify-center rounded-s hover:bg-hover"
      >
        <X aria-hidden size={13} />
      </button>
    </span>
  ));
}
