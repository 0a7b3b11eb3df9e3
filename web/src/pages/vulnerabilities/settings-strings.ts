import { catalogue } from "@/i18n/text";

/** Texts of what is set about vulnerabilities. */
export const settingsText = catalogue({
  deadlines: ["Deadlines, in days", "Fristen in Tagen"],
  deadlinesHint: [
    "From when a finding is open until it has to be fixed; 0 is no deadline. A tag or group may have its own: what is empty is as for all hosts, and of several the soonest counts.",
    "Ab wann ein Befund offen ist, bis er behoben sein muss; 0 heißt keine Frist. Ein Tag oder eine Gruppe kann eigene haben: was leer ist, gilt wie für alle Hosts, von mehreren die kürzeste.",
  ],
  of: ["Hosts", "Hosts"],
  allHosts: ["All hosts", "Alle Hosts"],
  critical: ["Critical", "Kritisch"],
  high: ["High", "Hoch"],
  medium: ["Medium", "Mittel"],
  low: ["Low", "Niedrig"],
  exploited: ["Exploited", "Ausgenutzt"],
  daysOf: ["Days for {what}, {whom}", "Tage für {what}, {whom}"],
  remove: ["Remove", "Entfernen"],
  removeOf: ["Remove the deadlines of {whom}", "Fristen von {whom} entfernen"],
  newLabel: ["Tag or group with its own deadlines", "Tag oder Gruppe mit eigenen Fristen"],
  add: ["Add", "Hinzufügen"],
  hosts: ["What hosts are worth", "Was Hosts wert sind"],
  critical_hosts: ["Others depend on", "Andere brauchen"],
  critical_hosts_hint: [
    "Tags and groups, with commas between them; such hosts count in full.",
    "Tags und Gruppen, durch Kommas getrennt; solche Hosts zählen voll.",
  ],
  minor_hosts: ["Nobody would miss for a day", "Niemand vermisste einen Tag lang"],
  minor_hosts_hint: ["Such hosts count half.", "Solche Hosts zählen halb."],
  internet_hosts: ["Reached from the internet", "Aus dem Internet erreichbar"],
  internet_hosts_hint: [
    "By a way that the hosts do not see themselves, such as a proxy in front of them.",
    "Auf einem Weg, den die Hosts selbst nicht sehen, etwa über einen Proxy davor.",
  ],
  approval: ["Exceptions", "Ausnahmen"],
  ownApproval: ["One may approve what one asked for oneself", "Man darf genehmigen, was man selbst beantragt hat"],
  saved: ["Settings saved", "Einstellungen gespeichert"],
  conflict: [
    "Somebody else changed the settings meanwhile: they were read again",
    "Jemand anders hat die Einstellungen inzwischen geändert: sie wurden neu gelesen",
  ],
});
