import { useQuery } from "@tanstack/react-query";

const namesQuery = {
  queryKey: ["attack-names"],
  queryFn: async () => (await import("./techniques")).techniqueName,
  staleTime: Number.POSITIVE_INFINITY,
};

const unknown = (_: string): string | undefined => undefined;

/** What techniques are called; the table of names comes after the page. */
export function useTechniqueName(): (id: string) => string | undefined {
  return useQuery(namesQuery).data ?? unknown;
}
