import { useQuery } from "@tanstack/react-query";
import { api, must } from "@/api/client";
import { bounds, type Range } from "@/app/range";
import type { Alert } from "@/pages/alerts/data";

/** Tiles are refreshed this often, besides what arrives live. */
const REFRESH_MS = 30_000;
export const ALERTS_MAX = 500;

const often = { refetchInterval: REFRESH_MS, staleTime: REFRESH_MS / 2 };

export function useAlerts(range: Range) {
  return useQuery({
    queryKey: ["alerts", "dashboard", range],
    queryFn: async (): Promise<Alert[]> => {
      const query = { from: bounds(range).from, sort: "newest", limit: ALERTS_MAX };
      return (await must(api.GET("/api/v1/alerts", { params: { query } }))).items;
    },
    ...often,
  });
}

export function useOpenCounts() {
  return useQuery({
    queryKey: ["alerts", "counts", "open"],
    queryFn: () => must(api.GET("/api/v1/alerts/counts", { params: { query: { status: "open" } } })),
    ...often,
  });
}

export function useTraffic(range: Range) {
  return useQuery({
    queryKey: ["dashboard", "traffic", range],
    queryFn: () => must(api.GET("/api/v1/flows/histogram", { params: { query: { ...bounds(range), buckets: 72 } } })),
    ...often,
  });
}

export interface Top {
  key: string;
  bytes: number;
  flows: number;
}

async function top(by: string, n: number, range: Range, filter?: string): Promise<Top[]> {
  const query = { by, n, metric: "bytes", ...bounds(range), ...(filter ? { filter } : {}) };
  const { items } = await must(api.GET("/api/v1/flows/top", { params: { query } }));
  return (items as Record<string, unknown>[]).map((item) => ({
    key: String(item[by] ?? ""),
    bytes: Number(item.total_bytes ?? 0),
    flows: Number(item.total_flows ?? 0),
  }));
}

export function useTop(by: string, range: Range, n = 8) {
  return useQuery({ queryKey: ["dashboard", "top", by, range], queryFn: () => top(by, n, range), ...often });
}

export interface CountryTraffic {
  country: string;
  inbound: number;
  outbound: number;
  flows: number;
}

/** Traffic with other countries, both ways. */
export function useCountries(range: Range) {
  return useQuery({
    queryKey: ["dashboard", "countries", range],
    queryFn: async (): Promise<CountryTraffic[]> => {
      const [inbound, outbound] = await Promise.all([
        top("src_country", 200, range, 'direction = "inbound"'),
        top("dst_country", 200, range, 'direction = "outbound"'),
      ]);
      const found = new Map<string, CountryTraffic>();
      const entry = (country: string) => {
        const known = found.get(country) ?? { country, inbound: 0, outbound: 0, flows: 0 };
        found.set(country, known);
        return known;
      };
      for (const { key, bytes, flows } of inbound.filter((item) => item.key)) {
        const known = entry(key);
        known.inbound += bytes;
        known.flows += flows;
      }
      for (const { key, bytes, flows } of outbound.filter((item) => item.key)) {
        const known = entry(key);
        known.outbound += bytes;
        known.flows += flows;
      }
      return [...found.values()].sort((a, b) => b.inbound + b.outbound - a.inbound - a.outbound);
    },
    ...often,
  });
}

export interface Storage {
  rows: number;
  files: number;
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
    ...often,
  });
}
