import { describe, expect, it } from "vitest";
import { changed } from "./edit";
import { mentioned } from "./write";

const before = { title: "a", summary: "", kind: "general", severity: "low", tags: ["x"] };

describe("changes of an incident", () => {
  it("name only what was changed", () => {
    expect(changed(before, { ...before })).toEqual({});
    expect(changed(before, { ...before, title: "b", tags: ["x", "y"] })).toEqual({ title: "b", tags: ["x", "y"] });
  });
});

describe("mentions", () => {
  it.each([
    ["ask @bo", "bo"],
    ["@", ""],
    ["mail bo@example", null],
    ["ask @bob then", null],
  ])("in %j", (text, expected) => {
    expect(mentioned(text)).toBe(expected);
  });
});
