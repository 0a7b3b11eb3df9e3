import type { ComponentType } from "react";
import type { PlainKey } from "@/i18n/text";
import type { TileProps } from "./data";
import { Figures } from "./figures";
import { Health } from "./health";
import { CountryMap } from "./map";
import type { text } from "./strings";
import { Attack, Feed, Incidents, Rules, Talkers, Traffic, Volume } from "./tiles";

/** Widths of a tile, in twelfths of a wide screen. */
export const WIDTHS = [4, 6, 8, 12] as const;
export type Width = (typeof WIDTHS)[number];

export const SPAN_CLASSES: Record<Width, string> = {
  4: "xl:col-span-4",
  6: "xl:col-span-6",
  8: "xl:col-span-8",
  12: "xl:col-span-12",
};

export interface Tile {
  id: PlainKey<typeof text>;
  view: ComponentType<TileProps>;
  width: Width;
  /** Rows that it may fill beside others. */
  tall?: boolean;
  permission?: string;
}

/** Every tile there is, in the standard order. */
export const TILES: readonly Tile[] = [
  { id: "figures", view: Figures, width: 12 },
  { id: "volume", view: Volume, width: 8, permission: "alerts:read" },
  { id: "feed", view: Feed, width: 4, tall: true, permission: "alerts:read" },
  { id: "traffic", view: Traffic, width: 8, permission: "flows:read" },
  { id: "map", view: CountryMap, width: 8, permission: "flows:read" },
  { id: "talkers", view: Talkers, width: 4, permission: "flows:read" },
  { id: "attack", view: Attack, width: 8, permission: "alerts:read" },
  { id: "health", view: Health, width: 4, permission: "status:read" },
  { id: "rules", view: Rules, width: 6, permission: "alerts:read" },
  { id: "incidents", view: Incidents, width: 6, permission: "incidents:read" },
];

/** How one person arranged the tiles. */
export interface Layout {
  order: readonly string[];
  hidden: readonly string[];
  widths: Readonly<Record<string, Width>>;
  /** Seconds between two refreshes; 0 leaves it to what arrives live and to the button. */
  refresh: number;
}

export const REFRESHES = [0, 30, 60, 300] as const;
export const STANDARD: Layout = { order: TILES.map((tile) => tile.id), hidden: [], widths: {}, refresh: 60 };

const names = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((id) => TILES.some((tile) => tile.id === id)) : [];

/** A sound layout of whatever was kept: a tile that is new since then comes last. */
export function readLayout(stored: unknown): Layout {
  if (typeof stored !== "object" || stored === null) return STANDARD;
  const kept = stored as Record<string, unknown>;
  const order = [...new Set(names(kept.order))];
  const widths = Object.entries((kept.widths ?? {}) as Record<string, unknown>).filter(([, width]) =>
    WIDTHS.includes(width as Width),
  );
  return {
    order: [...order, ...STANDARD.order.filter((id) => !order.includes(id))],
    hidden: names(kept.hidden),
    widths: Object.fromEntries(widths) as Record<string, Width>,
    refresh: REFRESHES.includes(kept.refresh as 0) ? (kept.refresh as number) : STANDARD.refresh,
  };
}

/** The order with one tile put before another, or after it when it comes from above. */
export function moved(order: readonly string[], id: string, to: string): string[] {
  const from = order.indexOf(id);
  const target = order.indexOf(to);
  if (from < 0 || target < 0) return [...order];
  const next = order.filter((other) => other !== id);
  next.splice(target, 0, id);
  return next;
}

/** The tile that is shown before or after one, where there is one. */
export function neighbour(shown: readonly string[], id: string, step: -1 | 1): string | undefined {
  const at = shown.indexOf(id);
  return at < 0 ? undefined : shown[at + step];
}

export function wider(width: Width): Width {
  return WIDTHS[(WIDTHS.indexOf(width) + 1) % WIDTHS.length] ?? 12;
}
