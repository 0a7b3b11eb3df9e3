import { api, must, type Schema } from "@/api/client";
import type { IncidentSearch } from "./search";

export type Incident = Schema<"IncidentView">;
export const STATUSES = ["new", "triaged", "contained", "resolved", "closed", "reopened"] as const;
export type Status = (typeof STATUSES)[number];
export const KINDS = [
  "general",
  "reconnaissance",
  "brute_force",
  "malware",
  "command_and_control",
  "exfiltration",
  "denial_of_service",
  "policy",
] as const;
const PAGE = 100;

export function incidentQuery(state: IncidentSearch) {
  return {
    ...(state.which === "all" || state.view === "board" ? {} : { status: "open" }),
    ...(state.which === "mine" ? { owner: "me" } : {}),
    ...(state.which === "watching" ? { watching: true } : {}),
    ...(state.severity ? { severity_min: state.severity } : {}),
    ...(state.entity ? { entity: state.entity } : {}),
    ...(state.q ? { search: state.q } : {}),
  };
}

export function incidentsQuery(state: IncidentSearch) {
  return {
    queryKey: ["incidents", "list", state],
    queryFn: ({ pageParam }: { pageParam: string | null }) =>
      must(
        api.GET("/api/v1/incidents", {
          params: {
            query: pageParam
              ? { cursor: pageParam, limit: PAGE }
              : { ...incidentQuery(state), sort: state.sort ?? "updated", limit: PAGE },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? null,
  };
}

export function boardQuery(state: IncidentSearch) {
  return {
    queryKey: ["incidents", "board", state],
    queryFn: () =>
      must(api.GET("/api/v1/incidents/board", { params: { query: { ...incidentQuery(state), limit: 30 } } })),
  };
}

export async function* incidentPages(state: IncidentSearch): AsyncGenerator<Incident[]> {
  const { queryFn } = incidentsQuery(state);
  let cursor: string | null = null;
  do {
    const page: { items: Incident[]; next_cursor?: string | null } = await queryFn({ pageParam: cursor });
    yield page.items;
    cursor = page.next_cursor ?? null;
  } while (cursor);
}
