import { describe, expect, it } from "vitest";
import { ceiling, ticks } from "./scale";

describe("scales", () => {
  it("end at round numbers whose half is whole", () => {
    expect([0, 1, 3, 7, 12, 25, 43, 101].map(ceiling)).toEqual([1, 2, 4, 8, 20, 40, 60, 200]);
  });

  it("mark round times of the zone", () => {
    const from = Date.UTC(2026, 10, 21, 15, 14);
    const day = ticks(from, from + 86_400_000, 3_600_000);
    expect(day.map((time) => new Date(time + 3_600_000).toISOString().slice(11, 16))).toEqual([
      "18:00",
      "21:00",
      "00:00",
      "03:00",
      "06:00",
      "09:00",
      "12:00",
      "15:00",
    ]);
    const week = ticks(from, from + 7 * 86_400_000, 0);
    expect(week).toHaveLength(7);
    expect(week.every((time) => time % 86_400_000 === 0)).toBe(true);
  });
});
