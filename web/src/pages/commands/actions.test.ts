import { expect, it } from "vitest";
import { presetsOf } from "@/pages/host/respond";
import { ACTIONS, type ActionForm, actionForm, actionOf, isReady } from "./actions";
import { type Command, endedHosts, outcomeOf, type Run } from "./data";
import { text } from "./strings";

const form = (kind: string) => actionForm(kind) as ActionForm;

it("has a name, a hint and a label for everything that is offered", () => {
  for (const { label, hint, arguments: all } of ACTIONS) {
    for (const word of [label, hint, ...all.map((one) => one.label)]) expect(Object.keys(text)).toContain(word);
  }
});

it("says what was typed, as the API takes it, and nothing that was left empty", () => {
  expect(actionOf(form("recheck"), {})).toEqual({ kind: "recheck" });
  expect(actionOf(form("approve"), { path: "/etc", reason: "" })).toEqual({ kind: "approve", path: "/etc" });
  const isolate = { seconds: "3600", keep: "10.0.0.1\n 10.0.0.2 ,", no_dns: false };
  expect(actionOf(form("isolate"), isolate)).toEqual({
    kind: "isolate",
    seconds: 3600,
    keep: ["10.0.0.1", "10.0.0.2"],
  });
  const kill = { pid: "7", start_ticks: "99", tree: true };
  expect(actionOf(form("kill"), kill, { boot: "b" })).toEqual({
    kind: "kill",
    pid: 7,
    start_ticks: 99,
    tree: true,
    boot: "b",
  });
});

it("waits for what an action needs", () => {
  expect(isReady(form("recheck"), {})).toBe(true);
  expect(isReady(form("block"), { address: " " })).toBe(false);
  expect(isReady(form("scan"), { paths: " \n" })).toBe(false);
  expect(isReady(form("scan"), { paths: "/tmp" })).toBe(true);
  expect(isReady(form("script"), { signed: "[1]" })).toBe(false);
  const signed = '{"kind":"script","interpreter":"/bin/sh","text":"id"}';
  expect(isReady(form("script"), { signed })).toBe(true);
  expect(actionOf(form("script"), { signed })).toEqual({ kind: "script", interpreter: "/bin/sh", text: "id" });
});

it("counts who has nothing more to say, and reads what an agent says at the end", () => {
  expect(endedHosts({ states: { queued: 2, done: 3, refused: 1 } } as unknown as Command)).toBe(4);
  const run = { outcome: { steps: [{ verb: "kill", target: "7" }], denied: "not_found", undo: { kind: "resume" } } };
  expect(outcomeOf(run as unknown as Run)).toEqual({
    steps: [{ verb: "kill", target: "7", note: "" }],
    denied: "not_found",
    undo: true,
    collected: false,
  });
  expect(outcomeOf({ outcome: null } as unknown as Run)).toEqual({
    steps: [],
    denied: null,
    undo: false,
    collected: false,
  });
});

it("offers what can be done about an event, and nothing about this machine itself", () => {
  const event = (more: object) => ({ class: "processes", batch: 1, row: 1, time: "", received: "", ...more }) as never;
  const offered = (more: object) => presetsOf(event(more)).map(({ about, value }) => [about, value]);
  expect(offered({ activity: "exec", pid: 9, start_ticks: 5 })).toEqual([["kill", "9"]]);
  expect(offered({ activity: "exit", pid: 9, start_ticks: 5 })).toEqual([]);
  expect(offered({ class: "files", activity: "create", path: "/tmp/x" })).toEqual([["quarantine", "/tmp/x"]]);
  expect(offered({ class: "logins", src_ip: "203.0.113.9" })).toEqual([["block", "203.0.113.9"]]);
  expect(offered({ class: "connections", dst_ip: "127.0.0.1" })).toEqual([]);
});
