import { catalogue } from "@/i18n/text";

/** Texts of what people keep: views of lists, and hunts. */
export const text = catalogue({
  views: ["Views", "Ansichten"],
  hunts: ["Saved hunts", "Gespeicherte Jagden"],
  noViews: ["No saved view yet", "Noch keine gespeicherte Ansicht"],
  noHunts: ["No saved hunt yet", "Noch keine gespeicherte Jagd"],
  standard: ["Standard view", "Standardansicht"],
  saveView: ["Save this view…", "Diese Ansicht speichern …"],
  saveHunt: ["Save this hunt…", "Diese Jagd speichern …"],
  manage: ["Manage…", "Verwalten …"],
  manageViews: ["Saved views", "Gespeicherte Ansichten"],
  name: ["Name", "Name"],
  description: ["What it looks for", "Wonach sie sucht"],
  share: ["Share with everybody in the tenant", "Mit allen im Mandanten teilen"],
  shareIt: ["Share with everybody", "Mit allen teilen"],
  unshare: ["Keep to oneself", "Nur für mich behalten"],
  shared: ["Shared", "Geteilt"],
  by: ["by {name}", "von {name}"],
  open: ["Open", "Öffnen"],
  replace: ["Replace by the present one", "Durch die aktuelle ersetzen"],
  makeDefault: ["Open by default", "Als Vorgabe öffnen"],
  noDefault: ["No longer the default", "Nicht mehr Vorgabe"],
  isDefault: ["Default", "Vorgabe"],
  delete: ["Delete", "Löschen"],
  saved: ["Saved", "Gespeichert"],
  deleted: ["Deleted", "Gelöscht"],
  actions: ["Actions for {name}", "Aktionen für {name}"],
  conflict: [
    "Somebody changed it meanwhile; look at it again.",
    "Jemand hat sie inzwischen geändert; bitte erneut ansehen.",
  ],
});
