import { catalogue } from "@/i18n/text";

export const text = catalogue({
  title: ["ATT&CK coverage", "ATT&CK-Abdeckung"],
  lead: [
    "Which techniques the rules and detectors know, and which were seen",
    "Welche Techniken Regeln und Detektoren kennen, und welche gesehen wurden",
  ],
  back: ["All rules", "Alle Regeln"],
  range: ["Alerts of", "Alarme aus"],
  covered: ["{covered} of {total} techniques", "{covered} von {total} Techniken"],
  tactics: ["Tactics", "Taktiken"],
  none: ["No rule names a technique of this tactic", "Keine Regel nennt eine Technik dieser Taktik"],
  rules: ["{n} {n|rule|rules}", "{n} {n|Regel|Regeln}"],
  running: ["{n} {n|runs|run}", "{n} {n|läuft|laufen}"],
  stopped: ["stopped", "angehalten"],
  alerts: ["{n} {n|alert|alerts}", "{n} {n|Alarm|Alarme}"],
  tacticOnly: ["Tactic only", "Nur Taktik"],
  detector: ["Detector", "Detektor"],
  rule: ["Rule", "Regel"],
  technique: ["Technique {id}", "Technik {id}"],
  seeAlerts: ["Its alerts", "Ihre Alarme"],
  legend: ["Legend", "Legende"],
  legendRuns: ["a rule runs", "eine Regel läuft"],
  legendStopped: ["rules are stopped", "Regeln sind angehalten"],
  legendSeen: ["was seen", "wurde gesehen"],
  without: ["Rules that name no technique", "Regeln, die keine Technik nennen"],
  choose: ["Choose a technique to see its rules.", "Wählen Sie eine Technik, um ihre Regeln zu sehen."],
});
