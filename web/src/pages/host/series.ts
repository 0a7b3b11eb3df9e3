import type { Line } from "@/charts/lines";
import type { HostHealth } from "./data";

/** What is measured of a host, by metric and object. */
export type Series = HostHealth["series"][number];

export function seriesOf(health: HostHealth, metric: string, object?: string): Series | undefined {
  return health.series.find((one) => one.metric === metric && (object === undefined || one.object === object));
}

/** Names of the file systems, disks or interfaces of which a metric is measured. */
export function objectsOf(health: HostHealth, metric: string): string[] {
  return health.series.filter((one) => one.metric === metric).map((one) => one.object ?? "");
}

type Points = Line["points"];

export function pointsOf(series: Series | undefined, scale = 1): Points {
  return (series?.points ?? []).map(({ start, mean }) => ({ start: Date.parse(start), value: mean * scale }));
}

/** The sum over all objects of a metric, step by step. */
export function summed(health: HostHealth, metric: string): Points {
  const sums = new Map<number, number>();
  for (const one of health.series) {
    if (one.metric !== metric) continue;
    for (const { start, value } of pointsOf(one)) sums.set(start, (sums.get(start) ?? 0) + value);
  }
  return [...sums].sort(([a], [b]) => a - b).map(([start, value]) => ({ start, value }));
}

/** What of a whole is taken, where the whole and the rest are measured. */
export function taken(whole: Points, rest: Points): Points {
  const left = new Map(rest.map(({ start, value }) => [start, value]));
  return whole.flatMap(({ start, value }) => {
    const free = left.get(start);
    return free === undefined ? [] : [{ start, value: Math.max(0, value - free) }];
  });
}

export function last(points: Points): number | null {
  return points.at(-1)?.value ?? null;
}

/** A file system and how full it is. */
export interface Filled {
  name: string;
  used: number;
  total: number;
}

/** File systems, fullest first. */
export function filled(health: HostHealth): Filled[] {
  return objectsOf(health, "filesystem_total")
    .map((name) => {
      const total = last(pointsOf(seriesOf(health, "filesystem_total", name))) ?? 0;
      const free = last(pointsOf(seriesOf(health, "filesystem_available", name))) ?? 0;
      return { name, total, used: Math.max(0, total - free) };
    })
    .filter(({ total }) => total > 0)
    .sort((a, b) => b.used / b.total - a.used / a.total);
}
