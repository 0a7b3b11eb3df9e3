import { catalogue } from "@/i18n/text";

/** Time ranges that pages offer; a chosen stretch is `from` and `to` instead. */
export const RANGES = ["15m", "1h", "6h", "24h", "7d", "30d"] as const;
export type Range = (typeof RANGES)[number];

const MS: Record<Range, number> = {
  "15m": 900_000,
  "1h": 3_600_000,
  "6h": 21_600_000,
  "24h": 86_400_000,
  "7d": 604_800_000,
  "30d": 2_592_000_000,
};

export const rangeText = catalogue({
  range: ["Time range", "Zeitraum"],
  "15m": ["Last 15 minutes", "Letzte 15 Minuten"],
  "1h": ["Last hour", "Letzte Stunde"],
  "6h": ["Last 6 hours", "Letzte 6 Stunden"],
  "24h": ["Last 24 hours", "Letzte 24 Stunden"],
  "7d": ["Last 7 days", "Letzte 7 Tage"],
  "30d": ["Last 30 days", "Letzte 30 Tage"],
  chosen: ["Chosen stretch", "Gewählter Abschnitt"],
});

/** The two ends of a range, now. */
export function bounds(range: Range, now = Date.now()): { from: string; to: string } {
  return { from: new Date(now - MS[range]).toISOString(), to: new Date(now).toISOString() };
}
