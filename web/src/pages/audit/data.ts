import { api, must, Problem, requestHeaders, type Schema } from "@/api/client";
import { bounds } from "@/app/range";
import { download } from "@/ui/grid/export";
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

/**
 * Hands everything that the filter finds to the browser as a file. The server writes it and records that it did; it is
 * never cut, because a trail with an end missing proves nothing.
 */
export async function exportAudit(
  state: AuditState,
  format: "csv" | "jsonl",
  progress: (rows: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const query = new URLSearchParams({ ...auditFilter(state), format });
  const response = await fetch(`/api/v1/audit/export?${query}`, { headers: requestHeaders(), signal });
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => null));
  const parts: BlobPart[] = [];
  let lines = format === "csv" ? -1 : 0;
  const reader = response.body?.getReader();
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
    parts.push(piece.value);
    for (const byte of piece.value) if (byte === 10) lines += 1;
    progress(Math.max(0, lines));
  }
  download(`guardian-audit.${format}`, parts, response.headers.get("content-type") ?? "text/plain");
  return Math.max(0, lines);
}
