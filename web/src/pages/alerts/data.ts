import { api, must, type Schema } from "@/api/client";
import type { AlertSearch } from "./search";

export type Alert = Schema<"AlertView">;
const PAGE = 200;
const EXPORT_PAGE = 500;

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
    ...(state.snoozed ? { snoozed: state.snoozed } : {}),
    ...(state.suppressed ? { suppressed: state.suppressed } : {}),
    ...(state.from ? { from: state.from } : {}),
    ...(state.to ? { to: state.to } : {}),
  };
}

export function alertsQuery(state: AlertSearch) {
  return {
    queryKey: ["alerts", "list", state],
    queryFn: ({ pageParam }: { pageParam: string | null }) =>
      must(
        api.GET("/api/v1/alerts", {
          params: {
            query: pageParam
              ? { cursor: pageParam, limit: PAGE }
              : { ...alertQuery(state), sort: state.sort ?? "activity", limit: PAGE },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? null,
  };
}

export function alertCountsQuery(state: AlertSearch) {
  return {
    queryKey: ["alerts", "counts", { ...state, sort: undefined }],
    queryFn: () => must(api.GET("/api/v1/alerts/counts", { params: { query: alertQuery(state) } })),
  };
}

/** Every alert that the filter finds, page by page. */
export async function* alertPages(state: AlertSearch): AsyncGenerator<Alert[]> {
  let cursor: string | null = null;
  do {
    const query: Record<string, string | number> = cursor
      ? { cursor, limit: EXPORT_PAGE }
      : { ...alertQuery(state), sort: state.sort ?? "activity", limit: EXPORT_PAGE };
    const page: { items: Alert[]; next_cursor?: string | null } = await must(
      api.GET("/api/v1/alerts", { params: { query } }),
    );
    yield page.items;
    cursor = page.next_cursor ?? null;
  } while (cursor);
}
