import { Link } from "@tanstack/react-router";
import { ArrowRight } from "lucide-react";
import { lazy, Suspense } from "react";
import { usePreferences, useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Panel } from "@/ui/panel";
import type { TileProps } from "./data";
import { text } from "./strings";

const World = lazy(() => import("@/charts/world"));
const ROWS = 8;
/** More bows than this cover each other. */
const ARCS = 40;

/** Which countries speak with which: bows on a map, and the same as a table. */
export function CountryMap({ data, span }: TileProps) {
  const t = useText(text);
  const format = useFormat();
  const { language } = usePreferences().preferences;
  const names = new Intl.DisplayNames([language], { type: "region", fallback: "code" });
  const name = (code: string) => (/^[A-Z]{2}$/.test(code) ? (names.of(code) ?? code) : code);
  const arcs = data.countries;
  return (
    <Panel title={t("map")}>
      <div className="grid gap-4 lg:grid-cols-[minmax(0,1.7fr)_minmax(240px,1fr)]">
        <Suspense fallback={<div className="aspect-[2/1]" />}>
          <World arcs={arcs.slice(0, ARCS).map(({ from, to, bytes }) => ({ from, to, weight: bytes }))} />
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
                      search={{ filter: `src_country = ${arc.from} and dst_country = ${arc.to}`, range: span }}
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
