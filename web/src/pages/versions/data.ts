import { api, must, Problem, requestHeaders, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
import type { StatePart } from "@/ui/state-bar";

export type Release = Schema<"AgentReleaseView">;
export type Rollout = Schema<"RolloutView">;
export type Stage = Schema<"RolloutStageView">;
export type StageBody = Schema<"RolloutStageBody">;
export type RolloutHost = Schema<"RolloutHostView">;

const PAGE = 200;

/** What a host of a rollout can be in, in the order in which they follow one another, each with its colour. */
export const HOST_STATES = {
  waiting: "bg-line-strong",
  offered: "bg-low-fill",
  fetching: "bg-low-fill",
  trying: "bg-low-fill",
  connected: "bg-low-fill",
  done: "bg-accent",
  going_back: "bg-medium-fill",
  refused: "bg-high-fill",
  failed: "bg-critical-fill",
  rolled_back: "bg-critical-fill",
  reverted: "bg-info-fill",
} as const;
export type HostState = keyof typeof HOST_STATES;
export const HOST_STATE_NAMES = Object.keys(HOST_STATES) as HostState[];
const OPEN: readonly string[] = ["waiting", "offered", "fetching", "trying", "connected", "going_back"];

export const releasesQuery = {
  queryKey: ["releases"],
  queryFn: () => must(api.GET("/api/v1/agent-releases")).then(({ items }) => items),
};

export const rolloutsQuery = {
  queryKey: ["rollouts", "list"],
  queryFn: () => must(api.GET("/api/v1/rollouts")).then(({ items }) => items),
};

export function rolloutQuery(id: string) {
  return {
    queryKey: ["rollouts", "one", id],
    queryFn: () => must(api.GET("/api/v1/rollouts/{id}", { params: { path: { id } } })),
  };
}

export function rolloutHostsQuery(id: string, state?: string): PagedQuery<RolloutHost> {
  const first = { ...(state ? { state } : {}), limit: PAGE };
  return {
    queryKey: ["rollouts", "hosts", id, first],
    load: (cursor) =>
      must(
        api.GET("/api/v1/rollouts/{id}/hosts", {
          params: { path: { id }, query: cursor ? { cursor, limit: PAGE } : first },
        }),
      ),
  };
}

/** How many hosts of stages are in each state. */
export function statesOf(stages: readonly Stage[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const stage of stages) {
    for (const [state, n] of Object.entries(stage.states)) sum[state] = (sum[state] ?? 0) + n;
  }
  return sum;
}

export function totalOf(states: Record<string, number>): number {
  return Object.values(states).reduce((sum, n) => sum + n, 0);
}

/** How many have nothing more to come. */
export function endedOf(states: Record<string, number>): number {
  return Object.entries(states).reduce((sum, [state, n]) => (OPEN.includes(state) ? sum : sum + n), 0);
}

export function partsOf(states: Record<string, number>, label: (state: HostState) => string): StatePart[] {
  return HOST_STATE_NAMES.map((state) => ({
    key: state,
    label: label(state),
    count: states[state] ?? 0,
    fill: HOST_STATES[state],
  }));
}

/** Versions that are there to be rolled out, newest release first. */
export function versionsOf(releases: readonly Release[]): string[] {
  return [...new Set(releases.filter(({ withdrawn }) => !withdrawn).map(({ version }) => version))];
}

const BASE64: Record<string, string> = { "+": "-", "/": "_", "=": "" };

/** Bytes as base64url without padding (RFC 4648, section 5). */
export function base64url(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/[+/=]/g, (sign) => BASE64[sign] ?? "");
}

/** Brings a release: the program, and what was signed of it. */
export async function addRelease(program: File, signed: File): Promise<Release> {
  const text = base64url(new Uint8Array(await signed.arrayBuffer()));
  const headers = { ...requestHeaders(), "content-type": "application/octet-stream" };
  const answer = await fetch(`/api/v1/agent-releases?signed=${text}`, { method: "POST", body: program, headers });
  const said: unknown = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, said);
  return said as Release;
}

/** The stages that most fleets want: a few first, then more, then all. */
export const USUAL_STAGES: readonly StageBody[] = [
  { percent: 5, wait_s: 86_400 },
  { percent: 25, wait_s: 3_600 },
  { percent: 100, wait_s: 0 },
];
