import { geoCentroid, geoNaturalEarth1, geoPath } from "d3-geo";
import type { FeatureCollection, Geometry } from "geojson";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import world from "world-atlas/countries-110m.json";
import { NUMERIC } from "./countries";

const WIDTH = 800;
const HEIGHT = 400;

interface Properties {
  name: string;
}

const topology = world as unknown as Topology<{ countries: GeometryCollection<Properties> }>;
const countries = feature(topology, topology.objects.countries) as FeatureCollection<Geometry, Properties>;
const land = { ...countries, features: countries.features.filter((country) => country.id !== "010") };
const projection = geoNaturalEarth1().fitExtent(
  [
    [4, 4],
    [WIDTH - 4, HEIGHT - 4],
  ],
  land,
);
const path = geoPath(projection);
const SHAPES = land.features.map((country) => ({
  id: String(country.id),
  name: country.properties.name,
  d: path(country) ?? "",
}));
const PLACES = new Map(land.features.map((country) => [String(country.id), projection(geoCentroid(country))]));

export interface Arc {
  /** ISO 3166 alpha-2, both ends. */
  from: string;
  to: string;
  weight: number;
}

/** A bow between two points, bent upwards. */
function bow([x1, y1]: [number, number], [x2, y2]: [number, number]): string {
  const lift = Math.hypot(x2 - x1, y2 - y1) * 0.28;
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}Q${((x1 + x2) / 2).toFixed(1)} ${((y1 + y2) / 2 - lift).toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`;
}

/** Longitude and latitude of what is too small for this map and has much traffic all the same. */
const SMALL: Readonly<Record<string, [number, number]>> = {
  SG: [103.8, 1.35],
  HK: [114.2, 22.3],
  MO: [113.5, 22.2],
  MT: [14.4, 35.9],
  BH: [50.6, 26.1],
  MU: [57.6, -20.2],
  SC: [55.5, -4.7],
  LI: [9.5, 47.1],
  MC: [7.4, 43.7],
  AD: [1.5, 42.5],
  SM: [12.5, 43.9],
  GI: [-5.4, 36.1],
  VG: [-64.6, 18.4],
  KY: [-81.3, 19.3],
  BM: [-64.8, 32.3],
  BB: [-59.5, 13.2],
  MV: [73.2, 3.2],
  CW: [-69, 12.2],
};

function place(country: string): [number, number] | null {
  const small = SMALL[country];
  return PLACES.get(NUMERIC[country] ?? "") ?? (small ? projection(small) : null);
}

/** Countries by their traffic, with bows from senders to receivers. A table beside it says the same in words. */
export default function World({ arcs }: { arcs: readonly Arc[] }) {
  const top = Math.max(1, ...arcs.map((arc) => arc.weight));
  const sums = new Map<string, number>();
  for (const { from, to, weight } of arcs) {
    for (const country of [from, to]) {
      const id = NUMERIC[country] ?? "";
      sums.set(id, (sums.get(id) ?? 0) + weight);
    }
  }
  const most = Math.max(1, ...sums.values());
  return (
    <svg aria-hidden viewBox={`0 0 ${WIDTH} ${HEIGHT}`} className="block h-auto w-full">
      {SHAPES.map((shape, index) => {
        const sum = sums.get(shape.id);
        return (
          <path
            key={`${shape.id}-${index}`}
            d={shape.d}
            fill={sum ? "var(--accent)" : "var(--land)"}
            fillOpacity={sum ? 0.22 + 0.5 * (sum / most) : 1}
            stroke="var(--land-line)"
            strokeWidth="0.5"
          />
        );
      })}
      {arcs.map((arc) => {
        const start = place(arc.from);
        const end = place(arc.to);
        if (!start || !end) return null;
        const share = arc.weight / top;
        return (
          <g key={`${arc.from}-${arc.to}`} opacity={0.45 + 0.5 * share}>
            <path
              d={bow(start, end)}
              fill="none"
              stroke="var(--high)"
              strokeWidth={0.8 + 2.2 * share}
              strokeLinecap="round"
            />
            <circle cx={end[0]} cy={end[1]} r={1.6 + 1.6 * share} fill="var(--high)" />
          </g>
        );
      })}
    </svg>
  );
}
