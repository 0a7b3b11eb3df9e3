import { api, must, type Schema } from "@/api/client";

export type Group = Schema<"HostGroupView">;

export const groupsQuery = {
  queryKey: ["host-groups"],
  queryFn: () => must(api.GET("/api/v1/host-groups")),
};

export function tryQuery(filter: string) {
  return {
    queryKey: ["host-groups", "try", filter],
    queryFn: () => must(api.POST("/api/v1/host-groups/try", { body: { filter } })),
    staleTime: 5_000,
  };
}
