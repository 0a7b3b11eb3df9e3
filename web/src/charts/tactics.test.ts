import { describe, expect, it } from "vitest";
import { byTactic } from "./tactics";

describe("counts by tactic", () => {
  it("stand in the order of an attack, most first, and keep tactics without technique", () => {
    const rows = byTactic([
      { tactic: "command_and_control", technique: "t1071", alerts: 2 },
      { tactic: "discovery", technique: "t1018", alerts: 1 },
      { tactic: "discovery", technique: "t1046", alerts: 5 },
      { tactic: "impact", technique: "", alerts: 1 },
    ]);
    expect(rows.map((row) => row.id)).toEqual(["discovery", "command-and-control", "impact"]);
    expect(rows[0]?.cells.map((cell) => cell.id)).toEqual(["t1046", "t1018"]);
    expect(rows[2]?.cells).toEqual([]);
  });
});
