import { search } from "@/app/search";

/** The times that the dashboard has figures for. */
export const SPANS = ["1h", "6h", "24h", "7d", "30d"] as const;
export type Span = (typeof SPANS)[number];

export const dashboardSearch = search({ range: SPANS, replay: ["include"] });
export type DashboardSearch = ReturnType<typeof dashboardSearch>;
