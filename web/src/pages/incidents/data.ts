import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
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
    ...(state.kind ? { kind: state.kind } : {}),
    ...(state.tag ? { tag: state.tag } : {}),
    ...(state.sla ? { sla: state.sla } : {}),
    ...(state.attack ? { attack: state.attack } : {}),
    ...(state.entity ? { entity: state.entity } : {}),
    ...(state.q ? { search: state.q } : {}),
  };
}

export function incidentsQuery(state: IncidentSearch): PagedQuery<Incident> {
  const first = { ...incidentQuery(state), sort: state.sort ?? "updated", limit: PAGE };
  return {
    queryKey: ["incidents", "list", state],
    load: (cursor) =>
      must(api.GET("/api/v1/incidents", { params: { query: cursor ? { cursor, limit: PAGE } : first } })),
  };
}

/** How many there are of what, each without its own filter. */
export function facetsQuery(state: IncidentSearch) {
  return {
    queryKey: ["incidents", "facets", { ...state, sort: undefined }],
    queryFn: () => must(api.GET("/api/v1/incidents/facets", { params: { query: incidentQuery(state) } })),
  };
}

export function boardQuery(state: IncidentSearch) {
  return {
    queryKey: ["incidents", "board", state],
    queryFn: () =>
      must(api.GET("/api/v1/incidents/board", { params: { query: { ...incidentQuery(state), limit: 30 } } })),
  };
}
