import { expect, test } from "vitest";
import { differences, entryOf, inOrder, type ListView, membersOf, timeOf } from "./lists";

const view = (list: string) => ({ list }) as ListView;

test("lists stand in the order of use, unknown ones at the end", () => {
  expect(inOrder([view("zebra"), view("system"), view("packages")]).map(({ list }) => list)).toEqual([
    "packages",
    "system",
    "zebra",
  ]);
});

test("columns are the members that entries have, those of the list first, empty ones not at all", () => {
  const entries = [
    { path: "/a", name: "bash", url: "" },
    { name: "tar", version: "1", extra: true, licences: [] },
  ];
  expect(membersOf("packages", entries)).toEqual(["name", "version", "path", "extra"]);
});

test("seconds and days are times where their names say so", () => {
  expect(timeOf("until_s", 86_400)?.toISOString()).toBe("1970-01-02T00:00:00.000Z");
  expect(timeOf("changed_day", 1)?.toISOString()).toBe("1970-01-02T00:00:00.000Z");
  expect(timeOf("port", 22)).toBeNull();
  expect(timeOf("expires_day", -1)).toBeNull();
});

test("what differs between two states of an entry is told, whatever it is", () => {
  expect(differences({ a: 1, b: ["x"], c: "same" }, { a: 2, b: ["x", "y"], c: "same" })).toEqual([
    ["a", 1, 2],
    ["b", ["x"], ["x", "y"]],
  ]);
  expect(differences(null, entryOf('{"a":1}'))).toEqual([["a", undefined, 1]]);
  expect(entryOf("no document")).toBeNull();
});
