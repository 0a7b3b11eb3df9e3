import { useQuery } from "@tanstack/react-query";
import { api, must, type Schema } from "@/api/client";
import { useCan } from "@/app/session";
import type { Alert } from "@/pages/alerts/data";
import type { Span } from "./search";

export type Dashboard = Schema<"Dashboard">;

/** What every tile is drawn from. */
export interface TileProps {
  data: Dashboard;
  span: Span;
  replays: boolean;
}

export function dashboardQuery(span: Span, replays: boolean) {
  return {
    queryKey: ["dashboard", span, replays],
    queryFn: () =>
      must(
        api.GET("/api/v1/dashboard", { params: { query: { range: span, replay: replays ? "include" : "exclude" } } }),
      ),
  };
}

const FEED = 8;

/** The newest alerts; they arrive live. */
export function useFeed() {
  return useQuery({
    queryKey: ["alerts", "feed"],
    queryFn: async (): Promise<Alert[]> =>
      (await must(api.GET("/api/v1/alerts", { params: { query: { sort: "newest", limit: FEED } } }))).items,
    enabled: useCan("alerts:read"),
  });
}

export interface Storage {
  rows: number;
  file_bytes: number;
  oldest_received: number | null;
  wal_lag_bytes: number;
  read_only: string | null;
  quarantined_files: number;
}

export function useStorage() {
  return useQuery({
    queryKey: ["dashboard", "storage"],
    queryFn: async () => (await must(api.GET("/api/v1/storage"))) as unknown as Storage,
  });
}
