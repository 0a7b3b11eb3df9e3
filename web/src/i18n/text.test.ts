import { describe, expect, it } from "vitest";
import { catalogue, translator } from "./text";

const texts = catalogue({
  plain: ["Alerts", "Alarme"],
  count: ["{n} {n|alert|alerts} by {who}", "{n} {n|Alarm|Alarme} von {who}"],
});

describe("texts", () => {
  it("fill in numbers in the manner of the language and pick the plural form", () => {
    const en = translator(texts, "en");
    const de = translator(texts, "de");
    expect(en("plain")).toBe("Alerts");
    expect(en("count", { n: 1, who: "alice" })).toBe("1 alert by alice");
    expect(de("count", { n: 12_345, who: "alice" })).toBe("12.345 Alarme von alice");
  });

  it("has the German text of every page", () => {
    const modules = import.meta.glob<Record<string, unknown>>(["../**/strings.ts"], { eager: true });
    expect(Object.keys(modules).length).toBeGreaterThan(5);
    for (const [path, module] of Object.entries(modules)) {
      const found = (module.text ?? {}) as Record<string, readonly [string, string]>;
      for (const [key, [en, de]] of Object.entries(found)) {
        expect(de, `${path} ${key}`).not.toBe("");
        const names = (text: string) => [...text.matchAll(/\{(\w+)/g)].map((match) => match[1]).sort();
        expect([...new Set(names(de))], `${path} ${key}`).toEqual([...new Set(names(en))]);
      }
    }
  });
});
