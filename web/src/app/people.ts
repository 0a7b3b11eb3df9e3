import { api, must } from "@/api/client";

/** The members of the tenant: to assign to and to mention. */
export const peopleQuery = {
  queryKey: ["people"],
  queryFn: () => must(api.GET("/api/v1/people")),
  staleTime: 300_000,
};
