import { expect, test } from "vitest";
import { base64url, endedOf, type Release, type Stage, statesOf, totalOf, versionsOf } from "./data";

test("hosts of all stages are summed up, and those that have more to come are told apart", () => {
  const stage = (states: Record<string, number>) => ({ percent: 100, wait_s: 0, states }) as Stage;
  const states = statesOf([stage({ done: 3, rolled_back: 1 }), stage({ waiting: 5, done: 1 })]);
  expect(states).toEqual({ done: 4, rolled_back: 1, waiting: 5 });
  expect(totalOf(states)).toBe(10);
  expect(endedOf(states)).toBe(5);
});

test("what is signed goes into the address without signs that mean something there", () => {
  expect(base64url(new Uint8Array([0xfb, 0xff, 0xfe]))).toBe("-__-");
  expect(base64url(new Uint8Array([0x66]))).toBe("Zg");
});

test("a version with a release for several machines is offered once, a withdrawn one not at all", () => {
  const release = (version: string, withdrawn: string | null = null) => ({ version, withdrawn }) as Release;
  expect(versionsOf([release("1.2.0"), release("1.2.0"), release("1.1.0", "2026-01-01T00:00:00Z")])).toEqual(["1.2.0"]);
});
