import { catalogue } from "@/i18n/text";

export const text = catalogue({
  title: ["Search", "Suche"],
  lead: ["Everything that you may see, by one word", "Alles, was Sie sehen dürfen, mit einem Wort"],
  search: ["Address, title, number, name…", "Adresse, Titel, Nummer, Name …"],
  start: ["What are you looking for?", "Was suchen Sie?"],
  startHint: [
    "An address, part of a title, the number of an incident, the name of a rule or a colleague.",
    "Eine Adresse, ein Teil eines Titels, die Nummer eines Vorfalls, der Name einer Regel oder eines Kollegen.",
  ],
  none: ["Nothing found for “{q}”", "Nichts gefunden für „{q}“"],
  noneHint: ["Flows are searched in Hunt.", "Flows durchsuchen Sie in der Jagd."],
  entity: ["Entities", "Entitäten"],
  incident: ["Incidents", "Vorfälle"],
  alert: ["Alerts", "Alarme"],
  host: ["Hosts", "Hosts"],
  rule: ["Rules", "Regeln"],
  exporter: ["Exporters", "Exporter"],
  user: ["Users", "Benutzer"],
});
