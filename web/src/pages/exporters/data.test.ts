import { expect, it } from "vitest";
import { chosenExporters, counter, type Exporter } from "./data";

const one = (exporter: string, state: string, flows: number): Exporter => ({
  tenant: "t",
  exporter,
  domain: 0,
  protocol: "ipfix",
  state,
  first_seen: "2026-01-01T00:00:00Z",
  last_seen: "2026-01-01T00:00:00Z",
  counters: { flows } as unknown as Exporter["counters"],
});
const ALL = [
  one("192.0.2.10", "silent", 5),
  one("192.0.2.9", "receiving", 70),
  one("10.0.0.1", "waiting for template 256", 0),
];
const names = (state: Parameters<typeof chosenExporters>[1]) => chosenExporters(ALL, state).map((e) => e.exporter);

it("orders addresses as numbers, and by what is counted", () => {
  expect(names({})).toEqual(["10.0.0.1", "192.0.2.9", "192.0.2.10"]);
  expect(names({ sort: "exporter" })).toEqual(["192.0.2.10", "192.0.2.9", "10.0.0.1"]);
  expect(names({ sort: "flows" })).toEqual(["192.0.2.9", "192.0.2.10", "10.0.0.1"]);
});

it("finds by address, protocol and state", () => {
  expect(names({ q: "192.0" })).toEqual(["192.0.2.9", "192.0.2.10"]);
  expect(names({ q: "IPFIX", state: "waiting" })).toEqual(["10.0.0.1"]);
  expect(counter(ALL[1] as Exporter, "flows", "absent")).toBe(70);
});
