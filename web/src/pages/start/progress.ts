import { useQuery } from "@tanstack/react-query";
import { api, must } from "@/api/client";
import { useCan, useSession } from "@/app/session";

/** How far a new installation is. */
export interface Progress {
  exporters: number | null;
  rules: { shipped: number; own: number } | null;
  people: number | null;
  hosts: number | null;
  factor: boolean;
}

const exportersQuery = {
  queryKey: ["exporters"],
  queryFn: () => must(api.GET("/api/v1/exporters")),
  refetchInterval: 5_000,
};
const rulesQuery = { queryKey: ["rules", "start"], queryFn: () => must(api.GET("/api/v1/rules")) };
const peopleQuery = {
  queryKey: ["users", "start"],
  queryFn: () => must(api.GET("/api/v1/users", { params: { query: { limit: 1 } } })),
};

const hostsQuery = {
  queryKey: ["hosts", "start"],
  queryFn: () => must(api.GET("/api/v1/hosts", { params: { query: { limit: 1 } } })),
};

export function useProgress(): Progress {
  const session = useSession();
  const exporters = useQuery({ ...exportersQuery, enabled: useCan("exporters:read") });
  const rules = useQuery({ ...rulesQuery, enabled: useCan("rules:read") });
  const people = useQuery({ ...peopleQuery, enabled: useCan("users:read") });
  const hosts = useQuery({ ...hostsQuery, enabled: useCan("hosts:read") });
  const shipped = rules.data?.items.filter((rule) => rule.origin === "shipped").length ?? 0;
  return {
    exporters: exporters.data?.items.length ?? null,
    rules: rules.data ? { shipped, own: rules.data.items.length - shipped } : null,
    people: people.data?.total ?? null,
    hosts: hosts.data?.total ?? null,
    factor: session.mfa.enrolled,
  };
}
