import type { Host } from "@/pages/hosts/data";
import { lostRows } from "@/pages/hosts/data";
import type { text } from "@/pages/hosts/strings";

/** A fact of two hosts. */
export interface Fact {
  label: keyof typeof text & string;
  a: string;
  b: string;
  differs: boolean;
}

const FACTS: readonly [label: Fact["label"], of: (host: Host) => string][] = [
  ["status", (host) => host.status],
  ["os", (host) => host.os],
  ["kernel", (host) => host.kernel],
  ["architecture", (host) => host.architecture],
  ["platform", (host) => host.platform],
  ["address", (host) => host.address ?? ""],
  ["agentVersion", (host) => host.agent_version],
  ["tags", (host) => host.tags.join(", ")],
  ["groups", (host) => host.groups.join(", ")],
  ["lost", (host) => String(lostRows(host))],
  ["complaints", (host) => host.health.complaints.join("; ")],
];

/** What is known of two hosts, side by side. */
export function factsOf(a: Host, b: Host): Fact[] {
  return FACTS.map(([label, of]) => ({ label, a: of(a), b: of(b), differs: of(a) !== of(b) }));
}
