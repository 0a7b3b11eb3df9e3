import { expect, it } from "vitest";
import { filterOf, type HostEvent, type HostHealth } from "./data";
import { merged } from "./merge";
import { huntSql, pivotsOf } from "./pivots";
import { listening } from "./ports";
import { filled, summed, taken } from "./series";
import { endpoint, subjectOf } from "./told";

const event = (more: object): HostEvent => ({
  class: "connections",
  batch: 1,
  row: 1,
  time: "2026-01-01T00:00:00Z",
  received: "2026-01-01T00:00:00Z",
  ...more,
});

it("asks for what was typed in the columns of the class, and quotes it", () => {
  expect(filterOf("logs", {})).toBe("");
  expect(filterOf("processes", { q: ' a"b\\c ' }, "activity = exec")).toBe(
    'activity = exec and (image like "*a\\"b\\\\c*" or command_line like "*a\\"b\\\\c*" or user like "*a\\"b\\\\c*" or ' +
      'parent_image like "*a\\"b\\\\c*" or sha256 like "*a\\"b\\\\c*")',
  );
  expect(filterOf("connections", { q: "443" })).toMatch(/ or pid = 443 or port = 443\)$/);
  expect(filterOf("logins", { q: "192.0.2.7", only: "notable" })).toMatch(
    / or src_ip = 192\.0\.2\.7\) and \(success = false\)$/,
  );
});

it("knows which ports are listened on: the newest word counts, and a restart closes all", () => {
  const port = (number: number, activity: string, more: object = {}) =>
    event({ activity, protocol: 6, dst_ip: "0.0.0.0", dst_port: number, boot: "new", ...more });
  const found = listening([
    port(80, "unlisten"),
    port(443, "listen"),
    port(22, "listen", { dst_ip: "127.0.0.1" }),
    port(80, "listen"),
    port(8080, "listen", { boot: "old" }),
  ]);
  expect(found.map(({ port, open }) => [port, open])).toEqual([
    [22, false],
    [443, true],
  ]);
  expect(listening([])).toEqual([]);
});

it("puts alerts between the events that are loaded, and older ones below once all are", () => {
  const at = (second: number) => `2026-01-01T00:00:0${second}Z`;
  const events = [5, 3].map((second) => event({ row: second, time: at(second), received: at(second) }));
  const alerts = [4, 1].map((second) => ({ id: `a${second}`, last_seen: at(second) })) as never[];
  const told = (complete: boolean) => merged(events, alerts, complete).map(({ time }) => time.at(-2));
  expect(told(false)).toEqual(["5", "4", "3"]);
  expect(told(true)).toEqual(["5", "4", "3", "1"]);
});

it("tells an event in a line", () => {
  expect(endpoint("2001:db8::1", 443)).toBe("[2001:db8::1]:443");
  const open = { activity: "open", protocol: 6, src_ip: "10.0.0.1", src_port: 5, dst_ip: "10.0.0.2", dst_port: 80 };
  expect(subjectOf(event({ ...open, name: "curl" }))).toBe("tcp 10.0.0.1:5 → 10.0.0.2:80 (curl)");
  expect(subjectOf(event({ class: "logins", service: "sudo", user: "ann", target_user: "root" }))).toBe(
    "sudo ann → root",
  );
  expect(subjectOf(event({ class: "files", path: "/b", old_path: "/a" }))).toBe("/a → /b");
});

it("leads from an event to the same thing elsewhere, with quotes that hold", () => {
  const pivots = pivotsOf(event({ class: "files", path: "/tmp/o'brien", host_id: "h" }));
  expect(pivots.map((pivot) => pivot.kind)).toEqual(["sql"]);
  expect(pivots[0]?.kind === "sql" && pivots[0].search.sql).toContain("\"path\" = '/tmp/o''brien'");
  expect(pivotsOf(event({ src_ip: "127.0.0.1", dst_ip: "192.0.2.1" })).map((pivot) => pivot.kind)).toEqual([
    "flows",
    "entity",
  ]);
  expect(huntSql("logs", "true").sql).toMatch(/^SELECT time, host/);
});

it("adds up what is measured of several disks, and takes the free from the whole", () => {
  const one = (metric: string, object: string | null, ...values: number[]) => ({
    metric,
    object,
    unit: "bytes",
    points: values.map((mean, minute) => ({ start: `2026-01-01T00:0${minute}:00Z`, mean, max: mean })),
  });
  const health = {
    from: "",
    to: "",
    step_seconds: 60,
    truncated: false,
    series: [
      one("disk_read", "sda", 1, 2),
      one("disk_read", "sdb", 10),
      one("filesystem_total", "/", 100),
      one("filesystem_available", "/", 25),
    ],
  } as HostHealth;
  expect(summed(health, "disk_read").map(({ value }) => value)).toEqual([11, 2]);
  expect(filled(health)).toEqual([{ name: "/", total: 100, used: 75 }]);
  const points = (...values: number[]) => values.map((value, start) => ({ start, value }));
  expect(taken(points(8, 8), points(3)).map(({ value }) => value)).toEqual([5]);
});
