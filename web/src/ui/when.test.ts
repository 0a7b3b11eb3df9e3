import { describe, expect, it } from "vitest";
import { fromField, toField } from "./when";

describe("times in fields", () => {
  it("come back as they went in, in both zones", () => {
    for (const zone of ["utc", "local"] as const) {
      expect(fromField(toField("2026-11-22T10:30:00.000Z", zone), zone)).toBe("2026-11-22T10:30:00.000Z");
    }
    expect(toField("2026-11-22T10:30:00Z", "utc")).toBe("2026-11-22T10:30");
  });

  it("are nothing when empty or absurd", () => {
    expect(toField(null, "utc")).toBe("");
    expect(fromField("", "utc")).toBeNull();
    expect(fromField("yesterday", "local")).toBeNull();
  });
});
