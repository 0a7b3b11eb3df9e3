import { catalogue } from "@/i18n/text";

/** Texts of what was done on one host, and of what holds there. */
export const text = catalogue({
  standing: ["What stands here now", "Was hier jetzt gilt"],
  standingHint: [
    "By what this host answered. What root did or undid on the machine itself is not in it.",
    "Nach dem, was dieser Host geantwortet hat. Was root auf der Maschine selbst tat oder aufhob, steht nicht darin.",
  ],
  standingCut: [
    "There were very many actions here; the oldest of them were not looked at for this.",
    "Hier gab es sehr viele Aktionen; die ältesten wurden dafür nicht betrachtet.",
  ],
  nothingStands: [
    "It is not isolated, blocks no address, and has no file in quarantine and no locked account, as far as was done from here.",
    "Er ist nicht isoliert, sperrt keine Adresse und hat weder Dateien in Quarantäne noch gesperrte Konten, soweit es von hier aus geschah.",
  ],
  held_isolate: ["Isolated", "Isoliert"],
  held_block: ["Blocked", "Gesperrt"],
  held_quarantine: ["In quarantine", "In Quarantäne"],
  held_disable_user: ["Locked accounts", "Gesperrte Konten"],
  untilThen: ["until {when}", "bis {when}"],
  untilEnded: ["until it is ended", "bis es beendet wird"],
  end_isolate: ["End the isolation…", "Isolation beenden …"],
  end_block: ["Unblock {what}…", "{what} freigeben …"],
  end_quarantine: ["Restore {what}…", "{what} zurückholen …"],
  end_disable_user: ["Unlock {what}…", "{what} entsperren …"],
  open: ["How it came about: {what}", "Wie es dazu kam: {what}"],
  moreHeld: ["{n} more", "{n} weitere"],
  less: ["Fewer", "Weniger"],
  all: ["What it was told to do", "Was er tun sollte"],
  endsItself: ["Ends by itself", "Endet von selbst"],
  beginsBy: ["not begun after {when}", "nicht begonnen nach {when}"],
  noEnd: ["does not", "nie"],
  by: ["By, and why", "Von wem und warum"],
  arguments: ["Arguments", "Argumente"],
  moves: ["What can be done about it", "Was sich tun lässt"],
  openRun: ["Step by step", "Schritt für Schritt"],
  toCommand: ["The command, on all its hosts", "Der Befehl, auf allen Hosts"],
  given: ["Given: {action}", "Gegeben: {action}"],
  none: ["Nothing was done here yet", "Hier wurde noch nichts getan"],
  noneHint: [
    "Have this host do something: look again, collect evidence, block an address, take a file away, isolate. A dry run first says what would be done, and most of it can be undone from here.",
    "Diesen Host etwas tun lassen: neu prüfen, Beweise sammeln, eine Adresse sperren, eine Datei wegnehmen, isolieren. Ein Probelauf sagt erst, was getan würde, und das meiste lässt sich von hier rückgängig machen.",
  ],
  learn: ["What each action does", "Was jede Aktion tut"],
});
