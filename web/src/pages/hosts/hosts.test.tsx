import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { compareSearch, HOSTS_MAX, idsOf } from "@/pages/host-compare/search";
import { commands, expiryOf } from "../enrolment/data";
import { searchOf } from "./bulk";
import { agentOf, type Host, hostsFilter, troublesOf } from "./data";
import { labelsOf } from "./labels";
import { HostStatus, LastSeen, Skew } from "./parts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const host = (more: Partial<Host> = {}, health: Partial<Host["health"]> = {}): Host =>
  ({
    id: "h",
    name: "web-1",
    status: "online",
    os: "Debian",
    kernel: "6.1",
    architecture: "x86_64",
    platform: "linux",
    agent_version: "1",
    tags: [],
    groups: [],
    last_seen: "2026-01-01T00:00:00Z",
    certificate_not_after: "2026-03-01T00:00:00Z",
    health: { clock_skew_us: 0, lost: [], complaints: [], ...health },
    ...more,
  }) as Host;

it("tells what needs somebody, most urgent first", () => {
  expect(troublesOf(host(), NOW)).toEqual([]);
  const ill = {
    complaints: ["disk full"],
    clock_skew_us: -9_000_000,
    lost: [{ class: "logs", rows: 3, place: "spool" }],
  };
  expect(troublesOf(host({ status: "offline", certificate_not_after: "2026-01-05T00:00:00Z" }, ill), NOW)).toEqual([
    "offline",
    "complaints",
    "lost",
    "skew",
    "certificate",
  ]);
  expect(troublesOf(host({ status: "revoked" }, ill), NOW)).toEqual(["revoked"]);
});

it("asks the API for what the address says", () => {
  expect(hostsFilter({ q: "web", tag: "a", version: "1", sort: "os", trouble: "any" })).toEqual({
    search: "web",
    tag: "a",
    agent_version: "1",
    trouble: "any",
  });
});

it("asks the selected hosts by SQL where an address can say who they are", () => {
  expect(searchOf({ all: false, ids: new Set(["a", "b"]) }, { q: "web" })).toEqual({ hosts: "a,b" });
  expect(searchOf({ all: false, ids: new Set(Array.from({ length: 101 }, (_, n) => String(n))) }, {})).toBeNull();
  expect(searchOf({ all: true }, { q: "web", status: "online", sort: "name" })).toEqual({ q: "web", status: "online" });
  expect(searchOf({ all: true }, { status: "never" })).toBeNull();
  expect(searchOf({ all: true }, { trouble: "any" })).toBeNull();
});

it("says what speaks for a host, and misses no certificate where there is none", () => {
  const node = host({ agent: "osquery", agent_version: "5.12.1", certificate_not_after: null });
  expect([agentOf(node), agentOf(host({ agent: "guardian" }))]).toEqual(["osquery 5.12.1", "1"]);
  expect(troublesOf(node, NOW)).toEqual([]);
});

it("reads labels with commas between them, each once", () => {
  expect(labelsOf(" web, shop ,, web")).toEqual(["web", "shop"]);
});

it("says how a host stands, and how its clock is", () => {
  const { rerender } = render(<HostStatus status="revoked" />);
  expect(screen.getByText("Shut out")).toBeInTheDocument();
  rerender(<Skew host={host({}, { clock_skew_us: 61_000_000 })} />);
  expect(screen.getByText(/1.min 1.s ahead/)).toBeInTheDocument();
  rerender(<LastSeen host={host()} />);
  expect(screen.getByText("now")).toBeInTheDocument();
});

it("compares the hosts that an address names, each once and not more than stand side by side", () => {
  expect(idsOf(compareSearch({ hosts: "x,y,x" }))).toEqual(["x", "y"]);
  expect(idsOf(compareSearch({ a: "x", b: "y" }))).toEqual(["x", "y"]);
  expect(idsOf(compareSearch({}))).toEqual([]);
  const many = Array.from({ length: 20 }, (_, n) => `h${n}`);
  expect(idsOf(compareSearch({ hosts: many.join(",") }))).toEqual(many.slice(0, HOSTS_MAX));
});

it("makes commands that can be pasted", () => {
  expect(commands("https://g.example", "gde_x.y.z").split("\n")).toEqual([
    "sudo guardian-agent enroll --server https://g.example --token gde_x.y.z",
    "sudo guardian-agent run",
  ]);
  expect(expiryOf("day", NOW)).toBe("2026-01-02T00:00:00.000Z");
});
