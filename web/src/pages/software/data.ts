import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
import type { SoftwareSearch } from "./search";

export type Software = Schema<"SoftwareView">;
export type SoftwareHost = Schema<"SoftwareHostView">;

const PAGE = 200;

function first({ q, kind, sort }: SoftwareSearch) {
  return { ...(q ? { search: q } : {}), ...(kind ? { kind } : {}), sort: sort ?? "name", limit: PAGE };
}

export function softwareQuery(state: SoftwareSearch): PagedQuery<Software> {
  const asked = first(state);
  return {
    queryKey: ["software", "list", asked],
    load: (cursor) =>
      must(api.GET("/api/v1/software", { params: { query: cursor ? { cursor, limit: PAGE } : asked } })),
  };
}

export function softwareCountQuery(state: SoftwareSearch) {
  const asked = { ...first(state), limit: 1 };
  return {
    queryKey: ["software", "count", asked],
    queryFn: () => must(api.GET("/api/v1/software", { params: { query: asked } })).then(({ total }) => total),
  };
}

export function softwareHostsQuery(kind: string, name: string) {
  return {
    queryKey: ["software", "hosts", kind, name],
    queryFn: () => must(api.GET("/api/v1/software/hosts", { params: { query: { kind, name } } })),
  };
}

/** Kind and name as one word of the address; kinds have no slash, names may. */
export const idOf = ({ kind, name }: { kind: string; name: string }): string => `${kind}/${name}`;

export function readId(id: string): { kind: string; name: string } {
  const at = id.indexOf("/");
  return { kind: id.slice(0, Math.max(0, at)), name: id.slice(at + 1) };
}
