import { api, must, requestHeaders, type Schema } from "@/api/client";
import { bounds } from "@/app/range";
import type { AuditState } from "./search";

export type Entry = Schema<"AuditView">;
export interface TrailPage {
  items: Entry[];
  next_cursor?: string | null;
}

const PAGE = 200;

/** The filter as the API takes it. */
export function auditFilter(state: AuditState): Record<string, string> {
  return {
    ...(state.q ? { search: state.q } : {}),
    ...(state.action ? { action: state.action } : {}),
    ...(state.kind ? { actor_kind: state.kind } : {}),
    ...(state.range ? { from: bounds(state.range).from } : {}),
  };
}

export function auditQuery(state: AuditState) {
  return {
    queryKey: ["audit", state],
    queryFn: ({ pageParam }: { pageParam: string | null }): Promise<TrailPage> =>
      must(
        api.GET("/api/v1/audit", {
          params: { query: pageParam ? { cursor: pageParam, limit: PAGE } : { limit: PAGE, ...auditFilter(state) } },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page: TrailPage) => page.next_cursor ?? null,
  };
}

/** Hands everything that the filter finds to the browser as a file; the server writes it, and records that it did. */
export async function exportAudit(state: AuditState, format: "csv" | "jsonl"): Promise<void> {
  const query = new URLSearchParams({ ...auditFilter(state), format });
  const response = await fetch(`/api/v1/audit/export?${query}`, { headers: requestHeaders() });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `guardian-audit.${format}`;
  link.click();
  URL.revokeObjectURL(link.href);
}
