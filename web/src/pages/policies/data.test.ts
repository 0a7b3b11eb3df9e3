import { expect, it } from "vitest";
import { diffLines, moved, readDocument, saidBy, scheduledHunt, scheduledIn } from "./data";

it("reads a document, or says why it is none", () => {
  expect(readDocument('{"a": 1}')).toEqual({ document: { a: 1 } });
  expect(readDocument("[]")).toEqual({ why: "object" });
  expect("why" in readDocument("{")).toBe(true);
});

it("names what a document says", () => {
  expect(saidBy({ intervals: { health_s: 1 }, files: { sets: { web: { roots: ["/srv"] } } } })).toEqual([
    "intervals.health_s",
    "files.sets.web.roots",
  ]);
  expect(saidBy({})).toEqual([]);
});

it("tells which lines came and went", () => {
  const signs = { added: "+", removed: "-", same: " " };
  const told = (before: string, after: string) => diffLines(before, after).map(({ kind, text }) => signs[kind] + text);
  expect(told("a\nb\nc", "a\nx\nc")).toEqual([" a", "-b", "+x", " c"]);
  expect(told("a", "a")).toEqual([" a"]);
});

it("moves an assignment, not beyond the ends", () => {
  expect(moved(["a", "b", "c"], 2, -1)).toEqual(["a", "c", "b"]);
  expect(moved(["a", "b"], 0, -1)).toEqual(["a", "b"]);
  expect(moved(["a", "b"], 1, 5)).toEqual(["a", "b"]);
});

it("finds the scheduled queries of a document, and leads to what came of them", () => {
  const load = { sql: "SELECT 1", every_s: 60, answer: "snapshot", enabled: false };
  expect(scheduledIn({ queries: { load, half: { sql: "SELECT 2" }, none: null } })).toEqual([
    { name: "load", sql: "SELECT 1", every_s: 60, snapshot: true, enabled: false },
  ]);
  expect(scheduledIn({ queries: [] })).toEqual([]);
  expect(scheduledIn(null)).toEqual([]);
  expect(scheduledHunt("o'clock")).toContain("key = 'o''clock'");
});
