import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";

export type Comparison = Schema<"HostComparison">;
export type ComparedList = Schema<"ComparedList">;
export type ComparedHost = Schema<"ComparedHost">;
export type ComparedRow = Schema<"ComparedRow">;

/** Whom to compare. */
export interface Sides {
  ids: readonly string[];
  group: string | undefined;
}

const PAGE = 200;

const sides = ({ ids, group }: Sides) => ({ hosts: ids.join(","), ...(group ? { group } : {}) });

/** The numbers of every list. */
export function summaryQuery(who: Sides) {
  return {
    queryKey: ["hosts", "compare", sides(who)],
    queryFn: () => must(api.GET("/api/v1/hosts/compare", { params: { query: sides(who) } })),
  };
}

/** Which rows of a list. */
export interface Shown {
  list: string;
  all: boolean;
  q: string | undefined;
}

const shown = ({ list, all, q }: Shown) => ({ list, ...(all ? { show: "all" } : {}), ...(q ? { search: q } : {}) });

export function rowsQuery(who: Sides, what: Shown): PagedQuery<ComparedRow> {
  const query = { ...sides(who), ...shown(what), limit: PAGE };
  return {
    queryKey: ["hosts", "compare", "rows", query],
    load: (cursor) =>
      must(api.GET("/api/v1/hosts/compare", { params: { query: cursor ? { ...query, cursor } : query } })),
  };
}

export function exportPath(who: Sides, what: Shown): string {
  return `/api/v1/hosts/compare/export?${new URLSearchParams({ ...sides(who), ...shown(what) })}`;
}

/** How much is not the same in a list. */
export const differing = (list: ComparedList) => list.different + list.missing + list.only;
