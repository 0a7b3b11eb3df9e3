import { expect, it } from "vitest";
import { format } from "@/i18n/format";
import { translator } from "@/i18n/text";
import { text, told } from "./measures";

const german = (measures: Record<string, unknown>) =>
  told(measures, translator(text, "de"), format("de", "utc")).map(([name, value]) => `${name}: ${value}`);

it("says what a correlation counted in one tile", () => {
  const measures = { measure: 256, measured: "distinct dst_ip within 5m", timespan: "5 minutes", estimated: "yes" };
  expect(german(measures)).toEqual(["Verschiedene dst_ip in 5\u00a0min: 256", "Geschätzt: ja"]);
  expect(german({ measure: 3, measured: "rules matched within 1h30m" })).toEqual([
    "Passende Regeln in 1\u00a0h 30\u00a0min: 3",
  ]);
  expect(german({ measure: 3, measured: "of a later version" })).toEqual(["of a later version: 3"]);
});

it("names what detectors measure, with units, and nothing twice", () => {
  expect(german({ sent: "80.7 MB", bytes: 80651618, share_of_sent: 1, others: "none" })).toEqual([
    "Gesendet: 80.7 MB",
    "Anteil an allem Gesendeten: 100\u00a0%",
    "Andere Hosts, die mit dem Ziel sprechen: keine",
  ]);
  expect(german({ bytes: 5, new_thing: 2 })).toEqual(["bytes: 5", "new thing: 2"]);
});
