import { search } from "@/app/search";

/** Hosts side by side, by id; `a` and `b` are how addresses named them when there were two. */
export const compareSearch = search({
  hosts: "text",
  a: "text",
  b: "text",
  group: "text",
  list: "text",
  all: "flag",
  q: "text",
});
export type CompareSearch = ReturnType<typeof compareSearch>;

/** As many as stand side by side. */
export const HOSTS_MAX = 8;

/** The hosts that an address names, each once. */
export function idsOf({ hosts, a, b }: CompareSearch): string[] {
  const named = [...(hosts?.split(",") ?? []), a, b].filter((id): id is string => Boolean(id));
  return [...new Set(named)].slice(0, HOSTS_MAX);
}
