import { Problem } from "@/api/client";
import { catalogue, type Language, type PlainKey, type Translate } from "@/i18n/text";

/** What the server's problems are called, by the short name of their kind. */
export const text = catalogue({
  invalid: ["This is not accepted.", "So wird es nicht angenommen."],
  forbidden: ["You may not do this.", "Das dürfen Sie nicht."],
  unauthenticated: ["You are not signed in.", "Sie sind nicht angemeldet."],
  "not-found": ["It is not there any more.", "Das gibt es nicht mehr."],
  conflict: ["It does not go together with what is there.", "Es passt nicht zu dem, was schon da ist."],
  "version-conflict": [
    "Somebody changed it meanwhile. Load it again.",
    "Jemand hat es inzwischen geändert. Bitte neu laden.",
  ],
  busy: ["The server is busy. Try again in a moment.", "Der Server ist ausgelastet. Bitte gleich erneut versuchen."],
  "rate-limited": ["Too many requests. Wait a moment.", "Zu viele Anfragen. Bitte einen Moment warten."],
  "too-large": ["It is too large.", "Das ist zu groß."],
  "last-admin": ["The tenant keeps its last administrator.", "Der Mandant behält seinen letzten Administrator."],
  "breached-password": [
    "This password is known from break-ins elsewhere. Choose another.",
    "Dieses Passwort ist aus Einbrüchen anderswo bekannt. Bitte ein anderes wählen.",
  ],
  "bad-link": ["The link is used up or too old.", "Der Link ist verbraucht oder zu alt."],
  "bad-setup-token": ["This is not the set-up token.", "Das ist nicht das Einrichtungs-Token."],
  storage: ["The store cannot take it.", "Der Speicher kann es nicht aufnehmen."],
  internal: [
    "Something went wrong on the server; its log says what.",
    "Auf dem Server ging etwas schief; sein Log sagt, was.",
  ],
});

/** Kinds whose sentence leaves out what exactly is wrong: the server's own words say it. */
const VAGUE = new Set(["invalid", "forbidden", "not-found", "conflict", "too-large", "storage"]);

/**
 * Why something was not done. The server explains itself in English; in another language its kind of problem is said
 * first, and its own words follow where they say more.
 */
export function whyNot(error: unknown, t: Translate<typeof text>, language: Language): string {
  const said = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Problem) || language === "en" || !(error.kind in text)) return said;
  const kind = t(error.kind as PlainKey<typeof text>);
  return VAGUE.has(error.kind) ? `${kind}\n${said}` : kind;
}
