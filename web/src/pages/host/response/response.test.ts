import { QueryClient } from "@tanstack/react-query";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Command, Run } from "@/pages/commands/data";
import { type Deed, endingOf, endsAt, mattering, runHereQuery, standingOf, withRuns } from "./data";

const NOW = Date.parse("2026-01-01T12:00:00Z");
const at = (minute: number) => new Date(NOW - 60 * 60_000 + minute * 60_000).toISOString();

let number = 0;
/** Something that the host did in that minute of the last hour, and what undoes it. */
function did(minute: number, action: { kind: string; [argument: string]: unknown }, undo: object | null = null) {
  number += 1;
  const id = `00000000-0000-0000-0000-${String(number).padStart(12, "0")}`;
  const command = {
    id: `c${number}`,
    kind: action.kind,
    action,
    dry_run: false,
    created: at(minute),
    expires: at(minute + 60),
    states: { done: 1 },
    ended: true,
    hosts: 1,
  } as unknown as Command;
  const run = {
    id,
    command: command.id,
    host: "h",
    state: "done",
    begun: at(minute),
    ended: at(minute),
    outcome: { undo },
  };
  return { command, run: run as unknown as Run };
}
const plain = (deed: Required<Deed>) => deed.run.id.replaceAll("-", "");
const said = (deeds: Required<Deed>[]) => standingOf(deeds, NOW).map(({ kind, what }) => `${kind} ${what}`.trim());

describe("what holds on a host", () => {
  it("is what was done and not ended, most urgent first, in whatever order it is told", () => {
    const deeds = [
      did(40, { kind: "unblock", address: "203.0.113.9" }),
      did(30, { kind: "disable_user", name: "eve" }),
      did(20, { kind: "block", address: "203.0.113.9" }),
      did(10, { kind: "block", address: "198.51.100.0/24", seconds: 0 }),
      did(5, { kind: "isolate", seconds: 86_400 }),
    ];
    expect(said(deeds)).toEqual(["isolate", "block 198.51.100.0/24", "disable_user eve"]);
    expect(said([...deeds].reverse())).toEqual(said(deeds));
  });

  it("is nothing that was only rehearsed, refused, or has ended by itself", () => {
    const rehearsed = did(1, { kind: "isolate" });
    rehearsed.command.dry_run = true;
    const refused = did(2, { kind: "block", address: "192.0.2.1" });
    refused.run.state = "refused";
    const over = did(3, { kind: "block", address: "192.0.2.2", seconds: 600 });
    expect(said([rehearsed, refused, over])).toEqual([]);
  });

  it("takes the newest word: an isolation that is set again ends with the second", () => {
    const forever = did(1, { kind: "isolate", seconds: 0 });
    const short = did(2, { kind: "isolate", seconds: 600 });
    expect(said([short, forever])).toEqual([]);
    const [again] = standingOf([forever, short, did(50, { kind: "isolate", seconds: 3_600 })], NOW);
    expect(again?.until).toBe(Date.parse(at(110)));
  });

  it("gives back what is restored or undone by the outcome of what was done", () => {
    const taken = did(1, { kind: "quarantine", path: "/tmp/x" });
    const kept = did(2, { kind: "quarantine", path: "/tmp/y" });
    const locked = did(3, { kind: "disable_user", name: "eve" }, { kind: "enable_user", name: "eve" });
    const back = did(4, { kind: "restore", command: plain(taken) });
    const undo = did(5, { kind: "undo", command: plain(locked) });
    expect(said([taken, kept, locked, back, undo])).toEqual(["quarantine /tmp/y"]);
    // Something of which the outcome is not known is not taken to be undone.
    const unknown = did(6, { kind: "undo", command: plain(kept) });
    expect(said([kept, unknown])).toEqual(["quarantine /tmp/y"]);
  });

  it("is ended by what the form of actions asks for", () => {
    const all = [
      did(1, { kind: "isolate" }),
      did(2, { kind: "block", address: "192.0.2.1" }),
      did(3, { kind: "quarantine", path: "/tmp/x" }),
      did(4, { kind: "disable_user", name: "eve" }),
    ];
    expect(standingOf(all, NOW).map(endingOf)).toEqual([
      { kind: "release" },
      { kind: "unblock", values: { address: "192.0.2.1" } },
      { kind: "restore", values: { command: all[2]?.run.id } },
      { kind: "enable_user", values: { name: "eve" } },
    ]);
  });
});

it("says when something ends by itself, counted from when the host began", () => {
  expect(endsAt(did(0, { kind: "block", address: "192.0.2.1", seconds: 60 }))).toBe(Date.parse(at(1)));
  expect(endsAt(did(0, { kind: "block", address: "192.0.2.1", seconds: 0 }))).toBeNull();
  expect(endsAt(did(0, { kind: "recheck" }))).toBeNull();
});

it("looks at no run where nothing that holds was done, and not at what ended before it began", () => {
  const release = did(1, { kind: "release" }).command;
  expect(mattering([release])).toEqual([]);
  const long_ago = { ...release, created: at(-600), expires: at(-540) };
  const waited = { ...release, created: at(-100), expires: at(30) };
  const isolate = did(5, { kind: "isolate" }).command;
  const rehearsed = { ...isolate, dry_run: true };
  expect(mattering([long_ago, waited, rehearsed, isolate])).toEqual([isolate, waited]);
});

describe("the runs of a host", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("are asked for a few at a time, and those that ended only once", async () => {
    let [under, most, asked] = [0, 0, 0];
    const answer = async (request: Request) => {
      asked += 1;
      under += 1;
      most = Math.max(most, under);
      await new Promise((go) => setTimeout(go, 1));
      under -= 1;
      const id = /commands\/([^/]+)\//.exec(request.url)?.[1];
      return new Response(JSON.stringify({ command: id, state: "done" }), {
        headers: { "content-type": "application/json" },
      });
    };
    vi.stubGlobal("fetch", answer);
    const client = new QueryClient();
    const deeds = Array.from({ length: 20 }, (_, n) => ({ command: did(n, { kind: "recheck" }).command }));
    const found = await withRuns(client, "h", deeds);
    expect(found.map(({ run }) => run.command)).toEqual(deeds.map(({ command }) => command.id));
    expect([asked, most]).toEqual([20, 6]);
    await withRuns(client, "h", deeds);
    expect(asked).toBe(20);
    client.clear();
  });

  it("stay live until their command has ended, and are asked for anew when its counts change", () => {
    const { command } = did(1, { kind: "recheck" });
    expect(runHereQuery({ ...command, ended: false }, "h").queryKey[0]).toBe("commands");
    const late = runHereQuery({ ...command, states: { expired: 1 } }, "h").queryKey;
    expect(late[0]).not.toBe("commands");
    expect(late).not.toEqual(runHereQuery(command, "h").queryKey);
  });
});
