import { expect, it } from "vitest";
import { Problem } from "@/api/client";
import { type Language, translator } from "@/i18n/text";
import { text, whyNot } from "./problem";

const say = (error: unknown, language: Language) => whyNot(error, translator(text, language), language);
const problem = (kind: string, detail: string) => new Problem(422, { type: `about:blank#${kind}`, detail });

it("says in the reader's language what kind of problem it is", () => {
  expect(say(problem("invalid", "name: too long"), "en")).toBe("name: too long");
  expect(say(problem("invalid", "name: too long"), "de")).toBe("So wird es nicht angenommen.\nname: too long");
  expect(say(problem("version-conflict", "somebody changed it"), "de")).toBe(
    "Jemand hat es inzwischen geändert. Bitte neu laden.",
  );
});

it("leaves alone what it does not know, and what the console says itself", () => {
  expect(say(problem("unheard-of", "strange"), "de")).toBe("strange");
  expect(say(new Error("Die beiden Passwörter unterscheiden sich."), "de")).toBe(
    "Die beiden Passwörter unterscheiden sich.",
  );
});
