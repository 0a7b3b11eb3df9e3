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
  /** ISO 3166 alpha-2. */
  country: string;
  weight: number;
  inbound: boolean;
}

/** A bow between two points, bent upwards. */
function bow([x1, y1]: [number, number], [x2, y2]: [number, number]): string {
  const lift = Math.hypot(x2 - x1, y2 - y1) * 0.28;
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}Q${((x1 + x2) / 2).toFixed(1)} ${((y1 + y2) / 2 - lift).toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`;
}

/** Countries with bows to or from the own one. A table beside it says the same in words. */
export default function World({ arcs, home }: { arcs: readonly Arc[]; home: string | null }) {
  const top = Math.max(1, ...arcs.map((arc) => arc.weight));
  const seen = new Map(arcs.map((arc) => [NUMERIC[arc.country] ?? "", arc]));
  const centre = home ? PLACES.get(NUMERIC[home] ?? "") : null;
  return (
    <svg aria-hidden viewBox={`0 0 ${WIDTH} ${HEIGHT}`} className="block h-auto w-full">
      {SHAPES.map((shape, index) => {
        const arc = seen.get(shape.id);
        return (
          <path
            key={`${shape.id}-${index}`}
            d={shape.d}
            fill={arc ? (arc.inbound ? "var(--high-fill)" : "var(--accent)") : "var(--land)"}
            fillOpacity={arc ? 0.25 + 0.5 * (arc.weight / top) : 1}
            stroke="var(--land-line)"
            strokeWidth="0.5"
          />
        );
      })}
      {centre &&
        arcs.map((arc) => {
          const end = PLACES.get(NUMERIC[arc.country] ?? "");
          if (!end || arc.country === home) return null;
          return (
            <path
              key={`${arc.country}-${arc.inbound}`}
              d={arc.inbound ? bow(end, centre) : bow(centre, end)}
              fill="none"
              stroke={arc.inbound ? "var(--high)" : "var(--accent-strong)"}
              strokeWidth={0.8 + 2 * (arc.weight / top)}
              strokeLinecap="round"
              opacity="0.75"
            />
          );
        })}
      {centre && (
        <circle cx={centre[0]} cy={centre[1]} r="4" fill="var(--accent)" stroke="var(--surface)" strokeWidth="1.500" />
      )}
    </svg>
  );
}
