import { expect, it } from "vitest";
import type { HostEvent } from "./data";
import { type ProcessNode, processTree, rowsOf } from "./tree";

let row = 0;
const event = (second: number, activity: string, pid: number, parent: number, more: object = {}): HostEvent => {
  row += 1;
  const time = `2026-01-01T00:00:${String(second).padStart(2, "0")}Z`;
  const place = { class: "processes" as const, batch: 1, row, time, received: time, boot: "b" };
  return { ...place, activity, pid, parent_pid: parent, start_ticks: pid * 10, image: `/bin/p${pid}`, ...more };
};
const told = (nodes: readonly ProcessNode[]): unknown[] =>
  nodes.map((node) => (node.children.length > 0 ? [node.pid, told(node.children)] : node.pid));

it("puts processes below their parents, whichever order they are told in", () => {
  const events = [
    event(3, "exec", 30, 20),
    event(1, "exec", 10, 1),
    event(2, "exec", 20, 10),
    event(4, "exit", 30, 20),
  ];
  const tree = processTree(events);
  expect(told(tree)).toEqual([[1, [[10, [[20, [30]]]]]]]);
  const last = tree[0]?.children[0]?.children[0]?.children[0];
  expect([last?.ended, last?.image]).toEqual(["2026-01-01T00:00:04Z", "/bin/p30"]);
});

it("knows a parent that began earlier by what its children tell, and one that runs another program stays itself", () => {
  const tree = processTree([
    event(1, "exec", 40, 7, { parent_image: "/usr/sbin/sshd" }),
    event(2, "exec", 40, 7, { image: "/bin/other" }),
  ]);
  expect([tree[0]?.image, tree[0]?.event]).toEqual(["/usr/sbin/sshd", null]);
  expect(told(tree)).toEqual([[7, [40]]]);
  expect(tree[0]?.children[0]?.image).toBe("/bin/other");
});

it("takes a number that comes again for another process", () => {
  const tree = processTree([
    event(1, "exec", 50, 0),
    event(2, "exit", 50, 0),
    event(3, "exec", 50, 0, { start_ticks: 999 }),
    event(4, "exec", 51, 50),
  ]);
  expect(told(tree)).toEqual([[50, [51]], 50]);
  expect(tree.map((node) => node.ended !== null)).toEqual([false, true]);
});

it("shows what was turned open, and large branches closed", () => {
  const many = Array.from({ length: 20 }, (_, i) => event(10, "exec", 100 + i, 60));
  const tree = processTree([event(1, "exec", 60, 0), event(2, "exec", 61, 0), event(3, "exec", 62, 61), ...many]);
  const pids = (turned: string[]) => rowsOf(tree, new Set(turned)).map(({ node, depth }) => [node.pid, depth]);
  expect(pids([])).toEqual([
    [60, 0],
    [61, 0],
    [62, 1],
  ]);
  expect(pids([tree[0]?.id ?? ""])).toHaveLength(23);
  expect(pids([tree[1]?.id ?? ""])).toHaveLength(2);
});
