import { describe, expect, it } from "vitest";
import { filterValue, sqlLiteral, sqlValue, valueOptions } from "./values";

const literal = (value: unknown) => (/ /.test(String(value)) ? `"${String(value)}"` : String(value));
const FOUND = [
  { value: "10.0.0.12", detail: "9" },
  { value: "10.0.0.1", detail: "5" },
  { value: "Example Net Ltd", detail: "1" },
];
const labels = (begun: string, explicit = false) =>
  valueOptions(FOUND, begun, literal, explicit).map((option) => option.label);

describe("the place of a value", () => {
  it.each([
    ["src_ip = ", "src_ip", ""],
    ["src_ip=10.", "src_ip", "10."],
    ["a = 1 and dst_port != 4", "dst_port", "4"],
    ["dst_port in (22, 3", "dst_port", "3"],
    ["dst_port in (", "dst_port", ""],
    ["not (src_ip not in 10.0", "src_ip", "10.0"],
    ['dst_as_org like "Example N', "dst_as_org", '"Example N'],
    ["direction = out", "direction", "out"],
  ])("is found in %j", (before, column, begun) => {
    expect(filterValue(before)).toEqual({ column, begun });
  });

  it.each(["", "src_ip", "src_ip ", "src_ip = 10.0.0.1 ", "src_ip = 10.0.0.1 an", "dst_port in (22)"])(
    "is not in %j",
    (before) => {
      expect(filterValue(before)).toBeNull();
    },
  );

  it.each([
    ["WHERE direction = 'out", "direction", "'out"],
    ["WHERE dst_port IN (22, ", "dst_port", ""],
    ["WHERE dst_port <> 2", "dst_port", "2"],
  ])("is found in SQL: %j", (before, column, begun) => {
    expect(sqlValue(before)).toEqual({ column, begun });
  });
});

describe("the values on offer", () => {
  it("are all where nothing is written, and those that begin so otherwise, behind what was written", () => {
    expect(labels("")).toEqual(["10.0.0.12", "10.0.0.1", '"Example Net Ltd"']);
    expect(labels("10.0")).toEqual(["10.0", "10.0.0.12", "10.0.0.1"]);
    expect(labels('"net')).toEqual(['"net', '"Example Net Ltd"']);
  });

  it("are none once a value is written out, unless somebody asks", () => {
    expect(labels("10.0.0.1")).toEqual([]);
    expect(labels("10.0.0.1", true)).toEqual(["10.0.0.1", "10.0.0.12", "10.0.0.1"]);
    expect(labels("192.")).toEqual([]);
  });

  it("are written as SQL wants them", () => {
    expect(sqlLiteral("O'Neill")).toBe("'O''Neill'");
    expect(sqlLiteral(53)).toBe("53");
  });
});
