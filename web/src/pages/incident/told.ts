import type { Schema } from "@/api/client";
import { catalogue, type Translate } from "@/i18n/text";
import type { text as kinds } from "@/pages/entity/strings";
import type { text as incidents } from "@/pages/incidents/strings";
import type { text as ui } from "@/ui/strings";

type Entry = Pick<Schema<"EntryView">, "kind" | "text"> & { data?: object | null };

/** What the program notes by itself on a timeline. */
export const text = catalogue({
  opened: ["Opened: {origin}, severity {severity}", "Eröffnet: {origin}, Schwere {severity}"],
  taskDone: ["Task done: {title}", "Aufgabe erledigt: {title}"],
  taskSkipped: ["Task skipped: {title}", "Aufgabe übersprungen: {title}"],
  fileAdded: ["File added: {name}", "Datei hinzugefügt: {name}"],
  fileRemoved: ["File removed: {name} ({reason})", "Datei entfernt: {name} ({reason})"],
  entityAdded: ["{kind} {value} added", "{kind} {value} hinzugefügt"],
  alertOut: ["Alert taken out: {title}", "Alarm herausgenommen: {title}"],
  split: ["Split off into incident #{number}", "Abgetrennt in Vorfall #{number}"],
  merged: ["Incident #{number} merged into this one", "Vorfall #{number} hierher übernommen"],
  mergedInto: ["Merged into incident #{number}", "In Vorfall #{number} übernommen"],
  mergeUndone: ["The merge with incident #{number} was undone", "Übernahme mit Vorfall #{number} rückgängig gemacht"],
  acknowledgeSoon: ["The time to acknowledge is running out", "Die Frist zum Übernehmen läuft ab"],
  acknowledgeOver: ["The time to acknowledge has run out", "Die Frist zum Übernehmen ist abgelaufen"],
  containSoon: ["The time to contain is running out", "Die Frist zum Eindämmen läuft ab"],
  containOver: ["The time to contain has run out", "Die Frist zum Eindämmen ist abgelaufen"],
  resolveSoon: ["The time to resolve is running out", "Die Frist zum Lösen läuft ab"],
  resolveOver: ["The time to resolve has run out", "Die Frist zum Lösen ist abgelaufen"],
  changed: ["{what} changed", "{what} geändert"],
  set: ["{what}: {to}", "{what}: {to}"],
  taken: ["{what} removed, was {from}", "{what} entfernt, war {from}"],
  swapped: ["{what}: {from} → {to}", "{what}: {from} → {to}"],
});

/** The words that sentences about an incident are made of, in the reader's language. */
export interface Words {
  t: Translate<typeof text>;
  incidents: Translate<typeof incidents>;
  kinds: Translate<typeof kinds>;
  ui: Translate<typeof ui>;
  /** The name of an account. */
  person: (id: string) => string;
}

const SEVERITIES = ["informational", "low", "medium", "high", "critical"] as const;
const ORIGINS = { manual: "originManual", alerts: "originAlerts", correlation: "originCorrelation" } as const;
const FIELDS = {
  title: "name",
  summary: "summary",
  kind: "kind",
  severity: "severity",
  owner: "owner",
  tags: "tags",
  resolution: "resolution",
} as const;
/** Texts that may be long: that they changed is enough. */
const LONG = new Set(["summary", "resolution"]);

const written = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? `${value}` : "");

/** A severity by its name, or by its number in the catalog. */
function severity(value: unknown, words: Words): string {
  const name = typeof value === "number" ? SEVERITIES[value - 1] : SEVERITIES.find((one) => one === value);
  return name ? words.ui(name) : written(value);
}

function fieldValue(field: string, value: unknown, words: Words): string {
  if (field === "severity") return severity(value, words);
  if (field === "owner") return value ? words.person(written(value)) : "";
  if (field === "kind") return value ? words.incidents(written(value) as "general") : "";
  return written(value).replaceAll(",", ", ");
}

/** One line for each field that somebody changed. */
function edit(data: Record<string, unknown>, words: Words): string {
  const lines = Object.entries(data).map(([field, change]) => {
    const label = field in FIELDS ? words.incidents(FIELDS[field as keyof typeof FIELDS]) : field;
    const ends = (change ?? {}) as { from?: unknown; to?: unknown };
    const [from, to] = [fieldValue(field, ends.from, words), fieldValue(field, ends.to, words)];
    if (LONG.has(field) || (!from && !to)) return words.t("changed", { what: label });
    if (!from) return words.t("set", { what: label, to });
    return to ? words.t("swapped", { what: label, from, to }) : words.t("taken", { what: label, from });
  });
  return lines.join("\n");
}

/**
 * What an entry that the program wrote says, in the reader's language, made of its data. Null where there is nothing but
 * its text: what a rule says of an alert is the rule's own words.
 */
export function told(entry: Entry, words: Words): string | null {
  const data = (entry.data ?? {}) as Record<string, unknown>;
  const { t } = words;
  const number = written(data.number);
  switch (entry.kind) {
    case "status": {
      if (!data.origin) return null;
      const origin = ORIGINS[data.origin as keyof typeof ORIGINS];
      const from = origin ? words.incidents(origin) : written(data.origin);
      return t("opened", { origin: from, severity: severity(data.severity, words) });
    }
    case "edit":
      if (data.alert) return t("alertOut", { title: written(data.title) });
      return Object.keys(data).length > 0 ? edit(data, words) : null;
    case "evidence": {
      const name = written(data.name);
      if (!name) return null;
      return "reason" in data ? t("fileRemoved", { name, reason: written(data.reason) }) : t("fileAdded", { name });
    }
    case "task": {
      // The title is in the text alone, behind what became of it.
      const title = entry.text.slice(entry.text.indexOf(": ") + 2);
      if (data.status === "done") return t("taskDone", { title });
      return data.status === "skipped" ? t("taskSkipped", { title }) : null;
    }
    case "entity":
      if (!data.kind) return null;
      return t("entityAdded", { kind: words.kinds(written(data.kind) as "ip"), value: written(data.value) });
    case "merge":
      if (!number) return null;
      if (data.alerts) return t("split", { number });
      // Both sides of a merge have the same data.
      if (entry.text.startsWith("merge undone")) return t("mergeUndone", { number });
      return t(entry.text.startsWith("merged into") ? "mergedInto" : "merged", { number });
    case "sla": {
      const clock = (["acknowledge", "contain", "resolve"] as const).find((one) => one === data.clock);
      return clock ? t(data.mark === "breached" ? `${clock}Over` : `${clock}Soon`) : null;
    }
    default:
      return null;
  }
}
