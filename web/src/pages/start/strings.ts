import { catalogue } from "@/i18n/text";

export const text = catalogue({
  title: ["Getting started", "Erste Schritte"],
  lead: ["{done} of {all} steps done", "{done} von {all} Schritten erledigt"],
  hide: ["Do not show this any more", "Nicht mehr zeigen"],
  hidden: ["Hidden. The search (Ctrl K) still finds it.", "Ausgeblendet. Die Suche (Strg K) findet es weiterhin."],
  done: ["Done", "Erledigt"],
  open: ["To do", "Offen"],
  exporter: ["Let a router send its flows", "Einen Router Flows senden lassen"],
  exporterWhy: [
    "NetFlow, IPFIX or sFlow of a router, a firewall or a Linux host is what Guardian watches.",
    "NetFlow, IPFIX oder sFlow eines Routers, einer Firewall oder eines Linux-Hosts ist, was Guardian überwacht.",
  ],
  exporterDone: ["{n} {n|exporter sends|exporters send} flows.", "{n} {n|Exporter sendet|Exporter senden} Flows."],
  device: ["Device", "Gerät"],
  waiting: ["Waiting for the first flows …", "Warte auf die ersten Flows …"],
  ports: [
    "By default it listens on UDP 2055 (NetFlow), 4739 (IPFIX) and 6343 (sFlow).",
    "Standardmäßig lauscht es auf UDP 2055 (NetFlow), 4739 (IPFIX) und 6343 (sFlow).",
  ],
  moreExporters: ["All about exporters", "Alles über Exporter"],
  machine: ["Watch a machine from within", "Eine Maschine von innen überwachen"],
  machineWhy: [
    "The agent tells of processes, files, sign-ins and logs: what the network does not show.",
    "Der Agent meldet Prozesse, Dateien, Anmeldungen und Protokolle: was das Netz nicht zeigt.",
  ],
  machineDone: ["{n} {n|machine is|machines are} enrolled.", "{n} {n|Maschine ist|Maschinen sind} aufgenommen."],
  toHosts: ["To the hosts", "Zu den Hosts"],
  rule: ["Write a rule of your own", "Eine eigene Regel schreiben"],
  ruleWhy: [
    "{n} shipped rules watch already. Yours knows what is special in your network: which server talks to nobody, which port is never used.",
    "{n} mitgelieferte Regeln wachen schon. Ihre kennt Ihr Netz: welcher Server mit niemandem spricht, welcher Port nie benutzt wird.",
  ],
  ruleDone: ["You have {n} {n|rule|rules} of your own.", "Sie haben {n} eigene {n|Regel|Regeln}."],
  newRule: ["Write a rule", "Regel schreiben"],
  seeRules: ["See the shipped ones", "Mitgelieferte ansehen"],
  colleague: ["Invite a colleague", "Kollegen einladen"],
  colleagueWhy: [
    "Alerts are assigned, discussed and handed over. You get a link to give away.",
    "Alarme werden zugewiesen, besprochen und übergeben. Sie erhalten einen Link zum Weitergeben.",
  ],
  colleagueDone: ["{n} people work here.", "{n} Personen arbeiten hier."],
  invite: ["Invite", "Einladen"],
  factor: ["Protect your own account", "Das eigene Konto schützen"],
  factorWhy: [
    "A second factor: an app on your telephone or a passkey.",
    "Ein zweiter Faktor: eine App auf dem Telefon oder ein Passkey.",
  ],
  factorDone: ["Your account has a second factor.", "Ihr Konto hat einen zweiten Faktor."],
  addFactor: ["Add a second factor", "Zweiten Faktor hinzufügen"],
  try: ["No router at hand?", "Kein Router zur Hand?"],
  tryHint: [
    "Recorded attacks show what an alert looks like. On the server:",
    "Aufgezeichnete Angriffe zeigen, wie ein Alarm aussieht. Auf dem Server:",
  ],
});
