import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
import type { AlertSearch } from "./search";

export type Alert = Schema<"AlertView">;
/** As many as the API gives at once. */
const PAGE = 500;

/** The query of the API that belongs to the state in the URL. */
export function alertQuery(state: AlertSearch) {
  const status = state.status ?? "open";
  return {
    ...(status === "all" ? {} : { status }),
    ...(state.severity ? { severity_min: state.severity } : {}),
    ...(state.q ? { search: state.q } : {}),
    ...(state.rule ? { rule: state.rule } : {}),
    ...(state.entity ? { entity: state.entity } : {}),
    ...(state.attack ? { attack: state.attack } : {}),
    ...(state.replay ? { replay: state.replay } : {}),
    ...(state.assignee ? { assignee: state.assignee } : {}),
    ...(state.incident ? { incident: state.incident } : {}),
    ...(state.snoozed ? { snoozed: state.snoozed } : {}),
    ...(state.suppressed ? { suppressed: state.suppressed } : {}),
    ...(state.from ? { from: state.from } : {}),
    ...(state.to ? { to: state.to } : {}),
  };
}

export function alertsQuery(state: AlertSearch): PagedQuery<Alert> {
  const first = { ...alertQuery(state), sort: state.sort ?? "activity", limit: PAGE };
  return {
    queryKey: ["alerts", "list", { ...state, group: undefined }],
    load: (cursor) => must(api.GET("/api/v1/alerts", { params: { query: cursor ? { cursor, limit: PAGE } : first } })),
  };
}

export function alertCountsQuery(state: AlertSearch) {
  return {
    queryKey: ["alerts", "counts", { ...state, sort: undefined, group: undefined }],
    queryFn: () => must(api.GET("/api/v1/alerts/counts", { params: { query: alertQuery(state) } })),
  };
}

export function alertGroupsQuery(state: AlertSearch, by: "rule" | "entity" | "incident") {
  return {
    queryKey: ["alerts", "groups", by, { ...state, sort: undefined, group: undefined }],
    queryFn: () => must(api.GET("/api/v1/alerts/groups", { params: { query: { ...alertQuery(state), by } } })),
  };
}
