import { expect, it } from "vitest";
import { presetsOf } from "@/pages/host/respond";
import { ACTIONS, type ActionForm, actionForm, actionOf, argumentsOf, gistOf, isReady, presetOf } from "./actions";
import { type Command, endedHosts, outcomeOf, type Run, stateOn } from "./data";
import { movesOf, movesOnHost } from "./moves";
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

it("gives an action once more just as it was, also where the form does not ask for all of it", () => {
  const given = [
    { kind: "recheck" },
    { kind: "isolate", seconds: 600, keep: ["10.0.0.1", "10.0.0.2"], no_dns: true },
    { kind: "block", address: "192.0.2.1", seconds: 0 },
    { kind: "kill", pid: 7, start_ticks: 99, tree: true, gently: true, boot: "b" },
    { kind: "quarantine", path: "/tmp/x", hash: "00ff", force: true },
    { kind: "collect", parts: ["maps"], files: ["/etc/hosts"], days: 3, bytes_max: 4096, folders: ["/etc"] },
    { kind: "script", interpreter: "/bin/sh", text: "id", signature: "c2ln" },
  ];
  for (const action of given) {
    const preset = presetOf(action);
    expect(actionOf(form(action.kind), preset?.values ?? {}, preset?.fixed)).toEqual(action);
    expect(isReady(form(action.kind), preset?.values ?? {})).toBe(true);
  }
  // What the server fills in where nothing was said says nothing.
  const bare = { kind: "collect", parts: [], files: [], bytes_max: 0, recipient: "", folders: [], days: 0 };
  expect(presetOf(bare)).toEqual({ kind: "collect", values: {} });
  expect(presetOf({ kind: "undo", command: "00" })).toBeNull();
});

it("says in short what an action is about", () => {
  const gists = [
    { kind: "block", address: "192.0.2.0/24", seconds: 60 },
    { kind: "disable_user", name: "eve" },
    { kind: "kill", pid: 7, start_ticks: 99 },
    { kind: "scan", paths: ["/srv", "/home"] },
    { kind: "restore", command: "ab", path: "" },
    { kind: "isolate", seconds: 60, keep: ["10.0.0.1"] },
    { kind: "recheck", reason: "" },
  ].map(gistOf);
  expect(gists).toEqual(["192.0.2.0/24", "eve", "7", "/srv, /home", "ab", "", ""]);
  expect(argumentsOf({ kind: "block", address: "192.0.2.1", seconds: 0, force: false })).toEqual([
    ["address", "192.0.2.1"],
  ]);
});

it("offers what can still be done about a command, as a whole and on one host", () => {
  const command = (more: object) => ({ kind: "block", dry_run: false, ended: true, ...more }) as unknown as Command;
  expect(movesOf(command({}))).toEqual([]);
  expect(movesOf(command({ dry_run: true }))).toEqual(["real"]);
  expect(movesOf(command({ ended: false }))).toEqual(["callOff"]);
  expect(movesOf(command({ ended: false, cancelled: "2026-01-01T00:00:00Z" }))).toEqual([]);
  const run = (state: string, undo: object | null = null) => ({ state, outcome: { undo } }) as unknown as Run;
  const unblock = { kind: "unblock" };
  // Other hosts may still be at it; here it is done.
  expect(movesOnHost(command({ ended: false }), run("done", unblock))).toEqual(["undo", "again"]);
  expect(movesOnHost(command({}), run("done"))).toEqual(["again"]);
  expect(movesOnHost(command({ dry_run: true }), run("done", unblock))).toEqual(["real", "again"]);
  expect(movesOnHost(command({ dry_run: true }), run("refused"))).toEqual(["again"]);
  expect(movesOnHost(command({ ended: false }), run("queued"))).toEqual(["callOff"]);
  expect(movesOnHost(command({ kind: "undo" }), run("done"))).toEqual([]);
});

it("knows how far a host is without asking where all hosts of a command are the same", () => {
  expect(stateOn({ states: { done: 3 } }, undefined)).toBe("done");
  expect(stateOn({ states: { done: 2, failed: 1 } }, undefined)).toBeNull();
  expect(stateOn({ states: { done: 2, failed: 1 } }, { state: "failed" } as Run)).toBe("failed");
});
