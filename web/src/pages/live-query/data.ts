import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
import type { LiveQuerySearch } from "./search";

export type LiveQuery = Schema<"LiveQueryView">;
export type LiveHost = Schema<"LiveQueryHostView">;
export type LiveTable = Schema<"LiveTableView">;
export type Targets = Schema<"NewLiveQueryBody">["hosts"];

const PAGE = 100;
/** How often it is looked how far a query is, should the live stream be away. */
const LOOK_MS = 5_000;

export const liveTablesQuery = {
  queryKey: ["live-tables"],
  queryFn: () => must(api.GET("/api/v1/live-queries/tables")).then(({ items }) => items),
  staleTime: Number.POSITIVE_INFINITY,
};

export const liveQueriesQuery: PagedQuery<LiveQuery> = {
  queryKey: ["live-queries", "list"],
  load: (cursor) =>
    must(api.GET("/api/v1/live-queries", { params: { query: { limit: PAGE, ...(cursor ? { cursor } : {}) } } })),
};

export function liveQueryQuery(id: string) {
  return {
    queryKey: ["live-queries", "one", id],
    queryFn: () => must(api.GET("/api/v1/live-queries/{id}", { params: { path: { id } } })),
    refetchInterval: (query: { state: { data?: LiveQuery | undefined } }) =>
      query.state.data?.ended === false ? LOOK_MS : false,
  };
}

export function liveHostsQuery(id: string, state?: string): PagedQuery<LiveHost> {
  const first = { ...(state ? { state } : {}), limit: PAGE };
  return {
    queryKey: ["live-queries", "hosts", id, first],
    load: (cursor) =>
      must(
        api.GET("/api/v1/live-queries/{id}/hosts", {
          params: { path: { id }, query: cursor ? { cursor, limit: PAGE } : first },
        }),
      ),
  };
}

export const chosenIds = ({ hosts }: LiveQuerySearch): string[] => hosts?.split(",").filter(Boolean) ?? [];

/** The hosts that the state in the URL means. Where it says nothing, all of them. */
export function targetsOf(state: LiveQuerySearch): Targets {
  const ids = chosenIds(state);
  if (ids.length > 0) return { ids };
  const filter = {
    ...(state.q ? { search: state.q } : {}),
    ...(state.status ? { status: state.status } : {}),
    ...(state.tag ? { tag: state.tag } : {}),
    ...(state.group ? { group: state.group } : {}),
    ...(state.version ? { agent_version: state.version } : {}),
  };
  return Object.keys(filter).length > 0 ? filter : { all: true };
}

/** What a scheduled query is called where nobody says: the table that it asks. */
export function nameOf(sql: string): string {
  const table = /\bfrom\s+["`]?([a-z_]\w*)/i.exec(sql)?.[1]?.toLowerCase() ?? "query";
  return table.slice(0, 60);
}

/** A policy's document with one scheduled query more, or with another statement under its name. */
export function withScheduled(
  document: unknown,
  name: string,
  query: { sql: string; every_s: number; answer?: "snapshot" },
): Record<string, unknown> {
  const before = (document ?? {}) as Record<string, unknown>;
  return { ...before, queries: { ...(before.queries as Record<string, unknown> | undefined), [name]: query } };
}
