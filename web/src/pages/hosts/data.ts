import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
import type { HostsSearch } from "./search";

export type Host = Schema<"HostView">;
export type HostFigures = Schema<"HostFiguresView">;

/** As many as the API gives at once. */
const PAGE = 500;
/** Clocks that differ by more make times hard to compare. */
export const SKEW_MAX_US = 2_000_000;
/** A certificate that is renewed as it should has more time left. */
export const CERTIFICATE_DAYS_MIN = 14;
const DAY_MS = 86_400_000;

/** The query of the API that belongs to the state in the URL. */
export function hostsFilter(state: HostsSearch) {
  return {
    ...(state.q ? { search: state.q } : {}),
    ...(state.status ? { status: state.status } : {}),
    ...(state.trouble ? { trouble: state.trouble } : {}),
    ...(state.tag ? { tag: state.tag } : {}),
    ...(state.group ? { group: state.group } : {}),
    ...(state.version ? { agent_version: state.version } : {}),
  };
}

/** How many match is told with each page; the first one has it for the heading. */
export function hostsQuery(state: HostsSearch): PagedQuery<Host> {
  const first = { ...hostsFilter(state), sort: state.sort ?? "name", limit: PAGE };
  return {
    queryKey: ["hosts", "list", state],
    load: (cursor) => must(api.GET("/api/v1/hosts", { params: { query: cursor ? { cursor, limit: PAGE } : first } })),
  };
}

export function hostCountQuery(state: HostsSearch) {
  return {
    queryKey: ["hosts", "count", { ...state, sort: undefined }],
    queryFn: () =>
      must(api.GET("/api/v1/hosts", { params: { query: { ...hostsFilter(state), limit: 1 } } })).then(
        ({ total }) => total,
      ),
  };
}

export const hostFiguresQuery = {
  queryKey: ["hosts", "figures"],
  queryFn: () => must(api.GET("/api/v1/hosts/figures")),
};

export function hostQuery(id: string) {
  return {
    queryKey: ["hosts", "one", id],
    queryFn: () => must(api.GET("/api/v1/hosts/{id}", { params: { path: { id } } })),
    // Heartbeats are told by no message of the live stream.
    refetchInterval: 15_000,
  };
}

/** Rows that an agent lost since it started. */
export function lostRows({ health }: Host): number {
  return health.lost.reduce((sum, loss) => sum + loss.rows, 0);
}

export function isSkewed({ health }: Host): boolean {
  return Math.abs(health.clock_skew_us) > SKEW_MAX_US;
}

/** Days until the certificate ends; hosts that run osquery have none. */
export function certificateDays({ certificate_not_after }: Host, now = Date.now()): number {
  if (!certificate_not_after) return Number.POSITIVE_INFINITY;
  return (Date.parse(certificate_not_after) - now) / DAY_MS;
}

/** What speaks for a host, and its version. */
export function agentOf({ agent, agent_version }: Host): string {
  return agent === "osquery" ? `osquery ${agent_version}` : agent_version;
}

/** What needs somebody, most urgent first; empty when all is well. */
export type Trouble = "revoked" | "never" | "offline" | "complaints" | "lost" | "skew" | "certificate";

export function troublesOf(host: Host, now = Date.now()): Trouble[] {
  if (host.status === "revoked") return ["revoked"];
  const found: [Trouble, boolean][] = [
    ["never", host.status === "never"],
    ["offline", host.status === "offline"],
    ["complaints", host.health.complaints.length > 0],
    ["lost", lostRows(host) > 0],
    ["skew", isSkewed(host)],
    ["certificate", certificateDays(host, now) < CERTIFICATE_DAYS_MIN],
  ];
  return found.filter(([, holds]) => holds).map(([name]) => name);
}
