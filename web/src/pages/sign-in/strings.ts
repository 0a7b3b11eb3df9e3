import { catalogue } from "@/i18n/text";

export const text = catalogue({
  title: ["Sign in", "Anmelden"],
  lead: ["Welcome back. Your network is being watched.", "Willkommen zurück. Ihr Netz wird überwacht."],
  name: ["Name", "Name"],
  password: ["Password", "Passwort"],
  signIn: ["Sign in", "Anmelden"],
  locked: [
    "Too many attempts. Try again in {seconds} {seconds|second|seconds}.",
    "Zu viele Versuche. In {seconds} {seconds|Sekunde|Sekunden} erneut versuchen.",
  ],
  wrong: ["Name or password is wrong.", "Name oder Passwort ist falsch."],
  setupTitle: ["Set up Guardian", "Guardian einrichten"],
  setupLead: [
    "Make the first administrator. The token stands on the terminal that started the server, and in the file setup-token of its data directory.",
    "Legen Sie den ersten Administrator an. Das Token steht im Terminal, das den Server gestartet hat, und in der Datei setup-token seines Datenverzeichnisses.",
  ],
  token: ["Set-up token", "Einrichtungs-Token"],
  displayName: ["Full name", "Voller Name"],
  optional: ["Optional", "Freiwillig"],
  passwordHint: ["At least 12 characters; a few words do well.", "Mindestens 12 Zeichen; ein paar Wörter genügen."],
  again: ["Password again", "Passwort wiederholen"],
  differ: ["The two passwords differ.", "Die beiden Passwörter unterscheiden sich."],
  create: ["Create administrator", "Administrator anlegen"],
  haveAccount: ["There is an account already", "Es gibt schon ein Konto"],
  privacy: ["Self-hosted. Nothing leaves this installation.", "Selbst betrieben. Nichts verlässt diese Installation."],
});
