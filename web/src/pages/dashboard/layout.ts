import type { ComponentType } from "react";
import type { Range } from "@/app/range";
import type { PlainKey } from "@/i18n/text";
import { Attack } from "./attack";
import { Figures } from "./figures";
import { CountryMap } from "./map";
import type { text } from "./strings";
import { Feed, Health, Talkers, Traffic, Volume } from "./tiles";

export interface Tile {
  id: PlainKey<typeof text>;
  view: ComponentType<{ range: Range }>;
  /** Width in twelfths, on wide screens. */
  span: string;
  permission?: string;
}

/** Every tile there is, in the standard order. */
export const TILES: readonly Tile[] = [
  { id: "figures", view: Figures, span: "xl:col-span-12" },
  { id: "volume", view: Volume, span: "xl:col-span-8", permission: "alerts:read" },
  { id: "feed", view: Feed, span: "xl:col-span-4 xl:row-span-2", permission: "alerts:read" },
  { id: "traffic", view: Traffic, span: "xl:col-span-8", permission: "flows:read" },
  { id: "map", view: CountryMap, span: "xl:col-span-8", permission: "flows:read" },
  { id: "talkers", view: Talkers, span: "xl:col-span-4", permission: "flows:read" },
  { id: "attack", view: Attack, span: "xl:col-span-8", permission: "alerts:read" },
  { id: "health", view: Health, span: "xl:col-span-4", permission: "status:read" },
];

const KEY = "guardian.dashboard";

export interface Layout {
  order: string[];
  hidden: string[];
}

export const STANDARD: Layout = { order: TILES.map((tile) => tile.id), hidden: [] };

export function loadLayout(): Layout {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "null") as Partial<Layout> | null;
    if (!stored || !Array.isArray(stored.order) || !Array.isArray(stored.hidden)) return STANDARD;
    // A tile that is new since then comes last.
    const missing = STANDARD.order.filter((id) => !stored.order?.includes(id));
    return { order: [...stored.order, ...missing], hidden: stored.hidden };
  } catch {
    return STANDARD;
  }
}

export function storeLayout(layout: Layout): void {
  localStorage.setItem(KEY, JSON.stringify(layout));
}

/** The order with one tile moved by one place. */
export function moved(order: readonly string[], id: string, step: -1 | 1): string[] {
  const from = order.indexOf(id);
  const to = from + step;
  if (from < 0 || to < 0 || to >= order.length) return [...order];
  const next = [...order];
  next.splice(from, 1);
  next.splice(to, 0, id);
  return next;
}
