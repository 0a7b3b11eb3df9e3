import { Link } from "@tanstack/react-router";
import { ArrowRight } from "lucide-react";
import { lazy, Suspense } from "react";
import { useKept } from "@/app/kept";
import { usePreferences, useText } from "@/app/preferences";
import { NUMERIC } from "@/charts/countries";
import { useFormat } from "@/i18n/format";
import { Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import type { TileProps } from "./data";
import { text } from "./strings";

const World = lazy(() => import("@/charts/world"));
/** What the API calls one's own networks, whose private addresses have no country. */
const HOME = "local";
const ROWS = 8;
/** More bows than this cover each other. */
const ARCS = 40;

/** Where one's own networks are drawn: what was chosen, or the country of the browser's language. */
function readCountry(stored: unknown): string {
  if (typeof stored === "string" && stored in NUMERIC) return stored;
  const regions = navigator.languages.map((tag) => new Intl.Locale(tag).maximize().region ?? "");
  return regions.find((region) => region in NUMERIC) ?? "DE";
}

/** The filter for the flows behind one line. */
function between(from: string, to: string): string {
  const source = from === HOME ? "direction = outbound" : `src_country = ${from}`;
  return `${source} and ${to === HOME ? "direction = inbound" : `dst_country = ${to}`}`;
}

/** Which countries speak with which: bows on a map, and the same as a table. */
export function CountryMap({ data, span }: TileProps) {
  const t = useText(text);
  const format = useFormat();
  const { language } = usePreferences().preferences;
  const [home, settle] = useKept("home-country", readCountry);
  const names = new Intl.DisplayNames([language], { type: "region", fallback: "code" });
  const name = (code: string) =>
    code === HOME ? t("ownNetwork") : /^[A-Z]{2}$/.test(code) ? (names.of(code) ?? code) : code;
  const arcs = data.countries;
  const own = arcs.some((arc) => arc.from === HOME || arc.to === HOME);
  const country = (code: string) => code || home;
  const countries = Object.keys(NUMERIC)
    .map((value) => ({ value, label: names.of(value) ?? value }))
    .sort((a, b) => a.label.localeCompare(b.label, language));
  return (
    <Panel
      title={t("map")}
      aside={
        own && (
          <Select prefix={t("ownNetwork")} label={t("ownNetwork")} value={home} onChange={settle} options={countries} />
        )
      }
    >
      <div className="grid gap-4 lg:grid-cols-[minmax(0,1.7fr)_minmax(240px,1fr)]">
        <Suspense fallback={<div className="aspect-[2/1]" />}>
          <World
            arcs={arcs
              .slice(0, ARCS)
              .map(({ from, to, bytes }) => ({ from: country(from), to: country(to), weight: bytes }))
              .filter(({ from, to }) => from !== to)}
          />
        </Suspense>
        {arcs.length === 0 ? (
          <p className="m-0 self-center text-sm text-text-3">
            {t("noCountries")}{" "}
            <Link to="/help/$" params={{ _splat: "start" }} className="text-accent underline">
              {t("more")}
            </Link>
          </p>
        ) : (
          <table className="w-full self-start border-collapse text-sm">
            <thead>
              <tr className="text-left text-xs text-text-3">
                <th className="py-1.5 font-medium">{t("countries")}</th>
                <th className="py-1.5 text-right font-medium">{t("bytes")}</th>
              </tr>
            </thead>
            <tbody>
              {arcs.slice(0, ROWS).map((arc) => (
                <tr key={`${arc.from}-${arc.to}`} className="border-t border-line">
                  <td className="py-1.5">
                    <Link
                      to="/hunt"
                      search={{ filter: between(arc.from, arc.to), range: span }}
                      className="inline-flex flex-wrap items-center gap-x-1.5 text-text no-underline hover:text-accent"
                    >
                      {name(arc.from)}
                      <ArrowRight aria-label={t("towards")} size={13} className="text-text-3" />
                      {name(arc.to)}
                    </Link>
                  </td>
                  <td className="num whitespace-nowrap py-1.5 text-right">{format.bytes(arc.bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
    </Panel>
  );
}
