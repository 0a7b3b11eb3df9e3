import { Link } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { usePreferences, useText } from "@/app/preferences";
import type { Range } from "@/app/range";
import { useFormat } from "@/i18n/format";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { useCountries } from "./data";
import { text } from "./strings";

const World = lazy(() => import("@/charts/world"));
const ROWS = 7;

export function CountryMap({ range }: { range: Range }) {
  const t = useText(text);
  const format = useFormat();
  const { language } = usePreferences().preferences;
  const query = useCountries(range);
  const names = new Intl.DisplayNames([language], { type: "region", fallback: "code" });
  const name = (code: string) => (/^[A-Z]{2}$/.test(code) ? (names.of(code) ?? code) : code);
  return (
    <Panel title={t("map")}>
      <Loaded query={query}>
        {(countries) => (
          <div className="grid gap-4 lg:grid-cols-[minmax(0,1.7fr)_minmax(240px,1fr)]">
            <Suspense fallback={<div className="aspect-[2/1]" />}>
              <World
                home={null}
                arcs={countries.map((item) => ({
                  country: item.country,
                  weight: item.inbound + item.outbound,
                  inbound: item.inbound > item.outbound,
                }))}
              />
            </Suspense>
            {countries.length === 0 ? (
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
                    <th className="py-1.5 font-medium">{t("country")}</th>
                    <th className="py-1.5 text-right font-medium">{t("inbound")}</th>
                    <th className="py-1.5 text-right font-medium">{t("outbound")}</th>
                  </tr>
                </thead>
                <tbody>
                  {countries.slice(0, ROWS).map((item) => (
                    <tr key={item.country} className="border-t border-line">
                      <td className="py-1.5">
                        <Link
                          to="/hunt"
                          search={{ filter: `country = ${item.country}`, range }}
                          className="text-text no-underline hover:text-accent"
                        >
                          {name(item.country)}
                        </Link>
                      </td>
                      <td className="num py-1.5 text-right text-high">{format.bytes(item.inbound)}</td>
                      <td className="num py-1.5 text-right text-accent">{format.bytes(item.outbound)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
          </div>
        )}
      </Loaded>
    </Panel>
  );
}
