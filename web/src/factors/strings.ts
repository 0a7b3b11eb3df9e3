import { catalogue } from "@/i18n/text";

/** Texts about second factors, at the sign-in and in the profile. */
export const text = catalogue({
  app: ["Authenticator app", "Authenticator-App"],
  appHint: ["Six digits that an app on your telephone shows.", "Sechs Ziffern, die eine App auf Ihrem Telefon zeigt."],
  passkey: ["Passkey", "Passkey"],
  passkeyHint: [
    "Fingerprint, face or PIN of this device, or a security key.",
    "Fingerabdruck, Gesicht oder PIN dieses Geräts, oder ein Sicherheitsschlüssel.",
  ],
  scan: ["Scan this with your authenticator app.", "Scannen Sie dies mit Ihrer Authenticator-App."],
  qr: ["QR code for the authenticator app", "QR-Code für die Authenticator-App"],
  secret: ["Or type this key in", "Oder diesen Schlüssel eintippen"],
  code: ["Code", "Code"],
  codeOfApp: ["The six digits it shows now", "Die sechs Ziffern, die sie jetzt zeigt"],
  confirm: ["Confirm", "Bestätigen"],
  name: ["Name", "Name"],
  nameHint: ["To tell it from others, such as “work telephone”", "Zum Unterscheiden, etwa „Diensthandy“"],
  begin: ["Continue", "Weiter"],
  wrong: ["This code is wrong or was used already.", "Dieser Code ist falsch oder schon benutzt."],
  locked: [
    "Too many attempts. Try again in {seconds} {seconds|second|seconds}.",
    "Zu viele Versuche. In {seconds} {seconds|Sekunde|Sekunden} erneut versuchen.",
  ],
  calledOff: [
    "The passkey was not used: it was called off, took too long, or there is none for this address.",
    "Der Passkey wurde nicht benutzt: abgebrochen, zu langsam, oder es gibt keinen für diese Adresse.",
  ],
  madeBefore: [
    "This device holds a passkey of your account already.",
    "Dieses Gerät hat schon einen Passkey für Ihr Konto.",
  ],
  codesTitle: ["Recovery codes", "Wiederherstellungscodes"],
  codesHint: [
    "Each works once, when your second factor is lost. They are shown this once: keep them where only you find them.",
    "Jeder gilt einmal, falls der zweite Faktor verloren geht. Sie werden nur jetzt gezeigt: Verwahren Sie sie sicher.",
  ],
  copy: ["Copy", "Kopieren"],
  copied: ["Copied", "Kopiert"],
  download: ["Download", "Herunterladen"],
  print: ["Print", "Drucken"],
  kept: ["I have kept them", "Ich habe sie verwahrt"],
  codesFile: [
    "Guardian recovery codes of {name} at {place}, {date}",
    "Guardian-Wiederherstellungscodes von {name} auf {place}, {date}",
  ],
});
