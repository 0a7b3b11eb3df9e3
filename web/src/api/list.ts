import { type QueryClient, type QueryKey, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useRef } from "react";

/** One page of a list, as the API answers it. */
export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

/** A list that is loaded page by page. */
export interface PagedQuery<T> {
  queryKey: QueryKey;
  load: (cursor: string | null) => Promise<Page<T>>;
}

/** Lists with more pages are not loaded anew by themselves: a reader far down would lose the place. */
const PAGES_KEPT_FRESH = 3;

/** The rows of a list as far as they are loaded. */
export interface Rows<T> {
  rows: readonly T[];
  ready: boolean;
  error: unknown;
  /** Whether everything is loaded. */
  complete: boolean;
  more: (() => void) | undefined;
  loadingMore: boolean;
  /** Something changed since it was loaded, and the list is too long to be loaded anew unasked. */
  behind: boolean;
  refetch: () => void;
  /** Starts again from the top. */
  restart: () => void;
}

function pagesOfData(data: unknown): readonly unknown[] {
  const pages = (data as { pages?: unknown } | undefined)?.pages;
  return Array.isArray(pages) ? pages : [];
}

/**
 * The rows of a paged list. Pages are appended, never compared or copied again, so that a hundred thousand rows cost no
 * more per page than the first.
 */
export function useRows<T>(query: PagedQuery<T>, enabled = true): Rows<T> {
  const client = useQueryClient();
  const list = useInfiniteQuery({
    queryKey: query.queryKey,
    queryFn: ({ pageParam }: { pageParam: string | null }) => query.load(pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page: Page<T>) => page.next_cursor ?? null,
    structuralSharing: false,
    // What the live stream makes stale is stale; time alone does not.
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnMount: true,
    enabled,
  });
  const kept = useRef<{ pages: readonly Page<T>[]; rows: readonly T[] }>({ pages: [], rows: [] });
  const pages = list.data?.pages ?? [];
  if (kept.current.pages !== pages) {
    const before = kept.current;
    const grew = before.pages.length > 0 && before.pages.every((page, index) => page === pages[index]);
    const added = pages.slice(grew ? before.pages.length : 0).flatMap((page) => page.items);
    kept.current = { pages, rows: grew ? before.rows.concat(added) : added };
  }
  const { fetchNextPage, refetch, hasNextPage } = list;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  const key = query.queryKey;
  return {
    rows: kept.current.rows,
    ready: list.data !== undefined,
    error: list.error,
    complete: list.data !== undefined && !hasNextPage,
    more: hasNextPage ? more : undefined,
    loadingMore: list.isFetchingNextPage,
    behind: list.isStale && pages.length > PAGES_KEPT_FRESH,
    refetch: () => void refetch(),
    restart: () => {
      trim(client, key);
      void client.invalidateQueries({ queryKey: key, exact: true });
    },
  };
}

function trim(client: QueryClient, queryKey: QueryKey): void {
  client.setQueryData(queryKey, (data: { pages: unknown[]; pageParams: unknown[] } | undefined) =>
    data ? { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) } : data,
  );
}

/** Every row of a list, page by page, for an export. */
export async function* allPages<T>(query: PagedQuery<T>): AsyncGenerator<readonly T[]> {
  let cursor: string | null = null;
  do {
    const page: Page<T> = await query.load(cursor);
    yield page.items;
    cursor = page.next_cursor ?? null;
  } while (cursor);
}

/**
 * Loads what is shown anew after a change. Long lists wait to be asked, unless the change was made here: then they
 * start again from the top.
 */
export function freshen(client: QueryClient, names: readonly string[], own = true): void {
  for (const name of names) {
    const long = client
      .getQueryCache()
      .findAll({ queryKey: [name] })
      .filter((query) => pagesOfData(query.state.data).length > PAGES_KEPT_FRESH);
    const waits = new Set(own ? [] : long.map((query) => query.queryHash));
    if (own) for (const query of long) trim(client, query.queryKey);
    void client.invalidateQueries({ queryKey: [name], predicate: (query) => !waits.has(query.queryHash) });
    void client.invalidateQueries({
      queryKey: [name],
      predicate: (query) => waits.has(query.queryHash),
      refetchType: "none",
    });
  }
}

/** `freshen` for the lists that a component changes. */
export function useFreshen(...names: readonly string[]): () => void {
  const client = useQueryClient();
  const all = names.join(" ");
  return useCallback(() => freshen(client, all.split(" ")), [client, all]);
}
