import { api, must, type Schema } from "@/api/client";
import type { ExporterSearch } from "./search";

export type Exporter = Schema<"ExporterView">;
export type ExporterState = "receiving" | "waiting" | "silent";

export const exportersQuery = {
  queryKey: ["exporters"],
  queryFn: () => must(api.GET("/api/v1/exporters")),
  refetchInterval: 10_000,
};

const PROTOCOLS: Record<string, string> = {
  netflow5: "NetFlow v5",
  netflow7: "NetFlow v7",
  netflow9: "NetFlow v9",
  ipfix: "IPFIX",
  sflow: "sFlow v5",
};

/** A protocol as its standard calls it. */
export function protocolName(protocol: string): string {
  return PROTOCOLS[protocol] ?? protocol;
}

export function stateOf({ state }: Exporter): ExporterState {
  return state === "receiving" ? "receiving" : state.startsWith("waiting") ? "waiting" : "silent";
}

/** The sum of counters; those that a protocol does not have count nothing. */
export function counter(exporter: Exporter, ...names: string[]): number {
  const counters = exporter.counters as Record<string, unknown>;
  return names.reduce((sum, name) => sum + (typeof counters[name] === "number" ? counters[name] : 0), 0);
}

export const exporterId = (e: Exporter): string => `${e.tenant}/${e.exporter}/${e.domain}/${protocolName(e.protocol)}`;

const BY_ADDRESS = new Intl.Collator("en", { numeric: true });
const ORDERS: Record<string, (a: Exporter, b: Exporter) => number> = {
  exporter: (a, b) => BY_ADDRESS.compare(a.exporter, b.exporter),
  protocol: (a, b) => a.protocol.localeCompare(b.protocol),
  state: (a, b) => stateOf(a).localeCompare(stateOf(b)),
  flows: (a, b) => counter(a, "flows") - counter(b, "flows"),
  missing: (a, b) => counter(a, "lost") - counter(b, "lost"),
  first_seen: (a, b) => a.first_seen.localeCompare(b.first_seen),
  last_seen: (a, b) => a.last_seen.localeCompare(b.last_seen),
};
export const ORDER = "-exporter";

/** The exporters that the state in the URL asks for, in its order. Orders are largest first; `-` turns them round. */
export function chosenExporters(all: readonly Exporter[], state: ExporterSearch): Exporter[] {
  const query = state.q?.toLowerCase() ?? "";
  const found = all.filter(
    (e) =>
      (!query || `${e.exporter} ${protocolName(e.protocol)} ${e.domain}`.toLowerCase().includes(query)) &&
      (!state.state || stateOf(e) === state.state),
  );
  const sort = state.sort ?? ORDER;
  const order = ORDERS[sort.replace(/^-/, "")] ?? (() => 0);
  const turn = sort.startsWith("-") ? 1 : -1;
  return found.sort((a, b) => order(a, b) * turn || BY_ADDRESS.compare(a.exporter, b.exporter));
}
