import { api, must, type Schema } from "@/api/client";
import { bounds } from "@/app/range";
import type { HuntSearch } from "./search";

export type Flow = Record<string, unknown>;
export type QueryAnswer = Schema<"QueryAnswer">;
const PAGE = 500;

/** The stretch of a hunt: what was brushed, or its range up to now. */
export function stretch(state: HuntSearch): { from: string; to: string } {
  if (state.from && state.to) return { from: state.from, to: state.to };
  return bounds(state.range ?? "24h");
}

export const tablesQuery = {
  queryKey: ["tables"],
  queryFn: () => must(api.GET("/api/v1/tables")),
  staleTime: Number.POSITIVE_INFINITY,
};

/** One run of a filter: the times are fixed when it starts, so that its pages and pictures agree. */
export interface Run {
  filter: string;
  from: string;
  to: string;
  at: number;
}

export function flowsQuery(run: Run) {
  return {
    queryKey: ["hunt", "flows", run],
    queryFn: async ({ pageParam }: { pageParam: string | null }) => {
      const page = await must(
        api.GET("/api/v1/flows", {
          params: {
            query: pageParam
              ? { cursor: pageParam, limit: PAGE }
              : { filter: run.filter, from: run.from, to: run.to, limit: PAGE },
          },
        }),
      );
      return { items: page.items as Flow[], next_cursor: page.next_cursor ?? null };
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page: { next_cursor: string | null }) => page.next_cursor,
    staleTime: Number.POSITIVE_INFINITY,
  };
}

export function histogramQuery(run: Run) {
  const { filter, from, to } = run;
  return {
    queryKey: ["hunt", "histogram", run],
    queryFn: () => must(api.GET("/api/v1/flows/histogram", { params: { query: { filter, from, to, buckets: 90 } } })),
    staleTime: Number.POSITIVE_INFINITY,
  };
}

export function topQuery(run: Run, by: string) {
  const { filter, from, to } = run;
  return {
    queryKey: ["hunt", "top", run, by],
    queryFn: async () => {
      const top = await must(
        api.GET("/api/v1/flows/top", { params: { query: { by, metric: "flows", n: 12, filter, from, to } } }),
      );
      return top.items as Flow[];
    },
    staleTime: Number.POSITIVE_INFINITY,
  };
}

export async function* flowPages(run: Run): AsyncGenerator<Flow[]> {
  const first = flowsQuery(run);
  let cursor: string | null = null;
  do {
    const page: { items: Flow[]; next_cursor: string | null } = await first.queryFn({ pageParam: cursor });
    yield page.items;
    cursor = page.next_cursor;
  } while (cursor);
}
