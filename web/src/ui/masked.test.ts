import { describe, expect, it } from "vitest";
import { pseudonym } from "./masked";

describe("pseudonyms", () => {
  const cases: [value: string, short: string | null][] = [
    ["masked-5d3e91aa0b1c", "5d3e"],
    ["masked-5d3e91", null],
    ["5d3e:91aa:1:2:3:4:5:6", "5d3e"],
    ["bfff:1:2:3:4:5:6:7", "bfff"],
    ["2001:db8::7", null],
    ["fe80::1", null],
    ["192.0.2.10", null],
    ["fe:4d:12:34:56:78", "1234"],
    ["00:1b:21:3a:4f:5e", null],
    ["mail.example.org", null],
  ];
  it.each(cases)("of %s is %s", (value, short) => {
    expect(pseudonym(value)).toBe(short);
  });
});
