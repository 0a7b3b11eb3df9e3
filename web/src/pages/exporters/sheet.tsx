import type { ReactNode } from "react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Badge } from "@/ui/badge";
import { LinkButton } from "@/ui/button";
import { Facts } from "@/ui/panel";
import { Ago, At } from "@/ui/time";
import { type Exporter, protocolName, stateOf } from "./data";
import { counters as counterText, text } from "./strings";

const TONES = { receiving: "good", waiting: "medium", silent: "neutral" } as const;

export function State({ exporter }: { exporter: Exporter }) {
  const t = useText(text);
  const state = stateOf(exporter);
  return <Badge tone={TONES[state]}>{t(state)}</Badge>;
}

const RECEIVED = ["packets", "bytes", "flows", "templates", "sampling_rate", "options_records"];
const TROUBLE = [
  "lost",
  "errors",
  "dropped_sets",
  "held_records",
  "held_sets",
  "queue_drops",
  "not_allowed",
  "unknown_samples",
  "clamped_times",
  "reordered",
  "duplicate",
  "resets",
];

/** Everything that is counted of one exporter: what came, and above all what went wrong. */
export function ExporterSheet({ exporter }: { exporter: Exporter }) {
  const t = useText(text);
  const c = useText(counterText);
  const format = useFormat();
  const all = exporter.counters as Record<string, unknown>;
  const fact = (name: string): readonly [string, ReactNode] => {
    const value = all[name];
    const label = name in counterText ? c(name as "packets") : name.replaceAll("_", " ");
    const said =
      typeof value !== "number" ? String(value) : name === "bytes" ? format.bytes(value) : format.number(value);
    return [
      label,
      <span key={name} className="num">
        {said}
      </span>,
    ];
  };
  const known = (name: string) => name in all;
  const trouble = TROUBLE.filter((name) => known(name) && all[name] !== 0);
  const rest = Object.keys(all).filter(
    (name) => !RECEIVED.includes(name) && !TROUBLE.includes(name) && all[name] !== 0,
  );
  const title = "m-0 mb-2 text-sm font-semibold";
  return (
    <div className="flex flex-col gap-5">
      <Facts
        items={[
          [t("protocol"), protocolName(exporter.protocol)],
          [t("domain"), String(exporter.domain)],
          [t("state"), <State key="s" exporter={exporter} />],
          [t("first"), <At key="f" time={exporter.first_seen} />],
          [
            t("last"),
            <span key="l">
              <At time={exporter.last_seen} /> (<Ago time={exporter.last_seen} />)
            </span>,
          ],
        ]}
      />
      <section>
        <h3 className={title}>{c("received")}</h3>
        <Facts items={RECEIVED.filter(known).map(fact)} />
      </section>
      <section>
        <h3 className={title}>{c("trouble")}</h3>
        {trouble.length === 0 ? (
          <p className="m-0 text-sm text-good">{c("allWell")}</p>
        ) : (
          <Facts items={trouble.map(fact)} />
        )}
      </section>
      {rest.length > 0 && (
        <section>
          <h3 className={title}>{c("rest")}</h3>
          <Facts items={rest.map(fact)} />
        </section>
      )}
      <LinkButton to="/help/$" params={{ _splat: "loss" }}>
        {t("whatLoss")}
      </LinkButton>
    </div>
  );
}
