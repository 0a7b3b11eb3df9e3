import { describe, expect, it } from "vitest";
import { type Language, translator } from "@/i18n/text";
import { text as kinds } from "@/pages/entity/strings";
import { text as incidents } from "@/pages/incidents/strings";
import { text as ui } from "@/ui/strings";
import { text, told, type Words } from "./told";
import { reason, text as why } from "./why";

function words(language: Language): Words {
  return {
    t: translator(text, language),
    incidents: translator(incidents, language),
    kinds: translator(kinds, language),
    ui: translator(ui, language),
    person: (id) => (id === "u1" ? "ann" : id),
  };
}

type Data = Record<string, unknown>;
const ENTRIES: [kind: string, text: string, data: Data | null, german: string | null][] = [
  ["status", "opened", { origin: "correlation", severity: "high" }, "Eröffnet: Korrelation, Schwere Hoch"],
  ["status", "new → triaged", { from: "new", to: "triaged", verdict: null }, null],
  ["edit", "severity", { severity: { from: 3, to: 4 } }, "Schwere: Mittel → Hoch"],
  [
    "edit",
    "owner, summary",
    { owner: { from: null, to: "u1" }, summary: { from: "", to: "x" } },
    "Zuständig: ann\nZusammenfassung geändert",
  ],
  ["edit", "tags", { tags: { from: "a,b", to: "" } }, "Schlagworte entfernt, war a, b"],
  [
    "edit",
    "alert taken out: SSH brute force",
    { alert: "a", title: "SSH brute force" },
    "Alarm herausgenommen: SSH brute force",
  ],
  ["evidence", "evidence added: mail.eml", { name: "mail.eml", sha256: "…" }, "Datei hinzugefügt: mail.eml"],
  [
    "evidence",
    "evidence removed: mail.eml",
    { name: "mail.eml", reason: "private" },
    "Datei entfernt: mail.eml (private)",
  ],
  ["task", "task done: Ask: who was it?", { task: "t", status: "done" }, "Aufgabe erledigt: Ask: who was it?"],
  ["entity", "ip 192.0.2.1", { kind: "ip", value: "192.0.2.1" }, "Adresse 192.0.2.1 hinzugefügt"],
  ["merge", "split: incident 7", { number: 7, alerts: ["a"] }, "Abgetrennt in Vorfall #7"],
  ["merge", "merged: incident 7", { number: 7, title: "x" }, "Vorfall #7 hierher übernommen"],
  ["merge", "merged into incident 7", { number: 7, title: "x" }, "In Vorfall #7 übernommen"],
  ["merge", "merge undone", { number: 7 }, "Übernahme mit Vorfall #7 rückgängig gemacht"],
  ["sla", "…", { clock: "contain", mark: "breached" }, "Die Frist zum Eindämmen ist abgelaufen"],
  ["alert", "1.2.3.4 tried 9 ports", { alert: "a", title: "Scan" }, null],
  ["edit", "of an older version", null, null],
];

describe("what the program notes on a timeline", () => {
  it.each(ENTRIES)("%s: %s", (kind, said, data, german) => {
    expect(told({ kind, text: said, data }, words("de"))).toBe(german);
  });
});

const REASONS = [
  ["the same ip 198.51.100.66", "dasselbe: Adresse 198.51.100.66"],
  ["ip 10.0.0.1, a target before, is active now", "Adresse 10.0.0.1, vorher Ziel, ist jetzt aktiv"],
  ["ip 10.0.0.1, active in the other, is a target here", "Adresse 10.0.0.1, dort aktiv, ist hier das Ziel"],
  ["the same target 10.0.0.1", "dasselbe Ziel 10.0.0.1"],
  ["12 min apart", "12 min auseinander"],
  ["a later stage: Command and Control after Discovery", "eine spätere Stufe: Command and Control nach Discovery"],
  ["the same stage: Impact", "dieselbe Stufe: Impact"],
  ["severity critical makes an incident by itself", "Schwere Kritisch ergibt allein schon einen Vorfall"],
  ["3 alerts about the same thing, 2 stages of an attack", "3 Alarme zur selben Sache, 2 Stufen eines Angriffs"],
  ["because I say so", "because I say so"],
];

describe("why an alert belongs to an incident", () => {
  it.each(REASONS)("%s", (said = "", german = "") => {
    const say = (language: Language) =>
      reason(said, translator(why, language), translator(kinds, language), translator(ui, language));
    expect(say("de")).toBe(german);
    if (!said.includes("ip ") && !said.includes("severity")) expect(say("en")).toBe(said);
  });
});
