import { catalogue, type PlainKey, type Translate } from "@/i18n/text";
import type { text as kinds } from "@/pages/entity/strings";
import type { text as ui } from "@/ui/strings";

/** Why an alert belongs to an incident. */
export const text = catalogue({
  same: ["the same {kind} {value}", "dasselbe: {kind} {value}"],
  turned: ["{kind} {value}, a target before, is active now", "{kind} {value}, vorher Ziel, ist jetzt aktiv"],
  turnedOther: [
    "{kind} {value}, active in the other, is a target here",
    "{kind} {value}, dort aktiv, ist hier das Ziel",
  ],
  target: ["the same target {value}", "dasselbe Ziel {value}"],
  atOnce: ["at the same time", "zur selben Zeit"],
  apart: ["{span} apart", "{span} auseinander"],
  sameRule: ["raised by the same rule", "von derselben Regel gemeldet"],
  later: ["a later stage: {mine} after {theirs}", "eine spätere Stufe: {mine} nach {theirs}"],
  sameStage: ["the same stage: {mine}", "dieselbe Stufe: {mine}"],
  earlier: ["an earlier stage: {mine} before {theirs}", "eine frühere Stufe: {mine} vor {theirs}"],
  grave: ["severity {severity} makes an incident by itself", "Schwere {severity} ergibt allein schon einen Vorfall"],
  company: [
    "{n} alerts about the same thing, {stages} stages of an attack",
    "{n} Alarme zur selben Sache, {stages} Stufen eines Angriffs",
  ],
  byHand: ["added by hand", "von Hand hinzugefügt"],
});

type Key = keyof typeof text;

/** The server's sentences, which come without data: each as it is written there, with a name for each gap. */
const SENTENCES: readonly [key: Key, pattern: RegExp][] = [
  ["turned", /^(?<kind>\w+) (?<value>.+), a target before, is active now$/],
  ["turnedOther", /^(?<kind>\w+) (?<value>.+), active in the other, is a target here$/],
  ["target", /^the same target (?<value>.+)$/],
  ["sameStage", /^the same stage: (?<mine>.+)$/],
  ["same", /^the same (?<kind>\w+) (?<value>.+)$/],
  ["atOnce", /^at the same time$/],
  ["apart", /^(?<span>\d+ (?:s|min|h)) apart$/],
  ["sameRule", /^raised by the same rule$/],
  ["later", /^a later stage: (?<mine>.+) after (?<theirs>.+)$/],
  ["earlier", /^an earlier stage: (?<mine>.+) before (?<theirs>.+)$/],
  ["grave", /^severity (?<severity>\w+) makes an incident by itself$/],
  ["company", /^(?<n>\d+) alerts about the same thing, (?<stages>\d+) stages of an attack$/],
  ["byHand", /^added by hand$/],
];

/** A reason in the reader's language; what somebody wrote, and what is not known here, stays as it is. */
export function reason(
  said: string,
  t: Translate<typeof text>,
  k: Translate<typeof kinds>,
  u: Translate<typeof ui>,
): string {
  for (const [key, pattern] of SENTENCES) {
    const found = pattern.exec(said);
    if (!found) continue;
    const gaps = { ...found.groups } as Record<string, string>;
    if (gaps.kind) gaps.kind = k(gaps.kind as "ip");
    if (gaps.severity) gaps.severity = u(gaps.severity as "high");
    return (t as (key: Key, gaps: Record<string, string>) => string)(key as PlainKey<typeof text>, gaps);
  }
  return said;
}
