import { describe, expect, it } from "vitest";
import { comparisons, condition, literal, ruleFrom, withCondition } from "./filter";

describe("filters", () => {
  it.each([
    ["", "a = 1", "a = 1"],
    ["b = 2", "a = 1", "b = 2 and a = 1"],
    ["b = 2 or c = 3", "a = 1", "(b = 2 or c = 3) and a = 1"],
    ["(b = 2 or c = 3)", "a = 1", "(b = 2 or c = 3) and a = 1"],
  ])("adds to %j", (filter, added, expected) => {
    expect(withCondition(filter, added)).toBe(expected);
  });

  it.each([
    ["192.0.2.7", "192.0.2.7"],
    ["Example Ltd", '"Example Ltd"'],
    ['a "b"', '"a \\"b\\""'],
    [53, "53"],
  ])("writes %j as %s", (value, expected) => {
    expect(literal(value)).toBe(expected);
  });

  it("puts lists in parentheses and leaves prefixes alone", () => {
    expect(condition("dst_port", "in", "22, 3389")).toBe("dst_port in (22, 3389)");
    expect(condition("src_ip", "in", "10.0.0.0/8")).toBe("src_ip in 10.0.0.0/8");
    expect(condition("bytes", ">", "10MB")).toBe("bytes > 10MB");
  });

  it("makes a selection of a plain filter and of nothing else", () => {
    expect(comparisons("dst_port = 22 and bytes > 10MB")).toHaveLength(2);
    expect(comparisons("dst_port = 22 or bytes > 10MB")).toBeNull();
    const rule = ruleFrom("dst_port = 22 and bytes > 10MB", "id");
    expect(rule).toContain("    dst_port: 22\n    bytes|gt: 10000000\n");
  });
});
