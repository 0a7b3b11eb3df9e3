import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { bounds, rangeText } from "@/app/range";
import { useTechniqueName } from "@/charts/technique";
import { useFormat } from "@/i18n/format";
import { Badge, SeverityMark } from "@/ui/badge";
import { classes } from "@/ui/classes";
import { Select } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { PageHeader, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text } from "./strings";

type Coverage = Schema<"Coverage">;
type Technique = Coverage["techniques"][number];
type Rule = Technique["rules"][number];

/** What the rules know of ATT&CK: a matrix of tactics and techniques. */
export default function CoveragePage() {
  const t = useText(text);
  const r = useText(rangeText);
  const { range = "30d" } = useSearch({ from: "/inside/coverage" });
  const navigate = useNavigate({ from: "/coverage" });
  const query = useQuery({
    queryKey: ["rules", "coverage", range],
    queryFn: () => must(api.GET("/api/v1/rules/coverage", { params: { query: bounds(range) } })),
    placeholderData: (before) => before,
  });
  return (
    <div className="pb-8">
      <Link
        to="/rules"
        className="ml-4 mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text md:ml-6"
      >
        <ArrowLeft aria-hidden size={14} /> {t("back")}
      </Link>
      <PageHeader title={t("title")} detail={t("lead")}>
        <Select
          label={t("range")}
          value={range}
          onChange={(next) => void navigate({ search: next === "30d" ? {} : { range: next }, replace: true })}
          options={(["24h", "7d", "30d"] as const).map((value) => ({ value, label: r(value) }))}
        />
      </PageHeader>
      <Loaded query={query} rows={10}>
        {(coverage) => <Matrix coverage={coverage} />}
      </Loaded>
    </div>
  );
}

function Matrix({ coverage }: { coverage: Coverage }) {
  const t = useText(text);
  const [chosen, setChosen] = useState<Technique | null>(null);
  const nameOf = useTechniqueName();
  const titleOf = (technique: string) => {
    const id = technique.toUpperCase();
    const name = nameOf(technique);
    return name ? `${id} · ${name}` : t("technique", { id });
  };
  return (
    <div className="flex flex-col gap-4 px-4 md:px-6">
      <ul aria-label={t("legend")} className="m-0 flex list-none flex-wrap gap-4 p-0 text-xs text-text-2">
        <li className="flex items-center gap-1.5">
          <span aria-hidden className="size-3 rounded-[2px] bg-accent-soft outline outline-1 outline-accent" />
          {t("legendRuns")}
        </li>
        <li className="flex items-center gap-1.5">
          <span aria-hidden className="size-3 rounded-[2px] border border-dashed border-line-strong" />
          {t("legendStopped")}
        </li>
        <li className="flex items-center gap-1.5">
          <span aria-hidden className="size-2 rounded-full bg-high-fill" />
          {t("legendSeen")}
        </li>
      </ul>
      <ul
        aria-label={t("tactics")}
        className="m-0 grid list-none grid-cols-1 items-start gap-3 p-0 sm:grid-cols-2 lg:grid-cols-3 xl:grid-cols-4 2xl:grid-cols-5"
      >
        {coverage.tactics.map((tactic) => {
          const techniques = coverage.techniques.filter((one) => one.tactics.includes(tactic.id));
          return (
            <li key={tactic.id} className="panel flex min-w-0 flex-col gap-2 p-3">
              <div className="flex items-baseline justify-between gap-2">
                <h2 className="m-0 truncate text-sm font-semibold">{tactic.name}</h2>
                <span className="mono shrink-0 text-2xs text-text-3">{tactic.number}</span>
              </div>
              {techniques.length > 0 && (
                <span className="num text-xs text-text-3">
                  {t("covered", { covered: tactic.covered, total: tactic.techniques })}
                </span>
              )}
              {techniques.length === 0 && <p className="m-0 text-xs text-text-3">{t("none")}</p>}
              <ul className="m-0 flex list-none flex-col gap-1 p-0">
                {techniques.map((one) => (
                  <li key={`${tactic.id}-${one.technique}`}>
                    <Cell technique={one} onOpen={() => setChosen(one)} />
                  </li>
                ))}
              </ul>
            </li>
          );
        })}
      </ul>
      {coverage.without.length > 0 && (
        <Panel title={t("without")}>
          <Rules rules={coverage.without} />
        </Panel>
      )}
      <Dialog
        open={chosen !== null}
        onClose={() => setChosen(null)}
        title={chosen?.technique ? titleOf(chosen.technique) : t("tacticOnly")}
        description={chosen && <Seen technique={chosen} />}
      >
        {chosen && <Rules rules={chosen.rules} />}
      </Dialog>
    </div>
  );
}

function Cell({ technique, onOpen }: { technique: Technique; onOpen: () => void }) {
  const t = useText(text);
  const format = useFormat();
  const runs = technique.enabled > 0;
  const name = useTechniqueName()(technique.technique);
  return (
    <button
      type="button"
      onClick={onOpen}
      className={classes(
        "flex w-full items-center gap-2 rounded-s border px-2 py-1 text-left text-xs hover:border-accent",
        runs ? "border-accent/40 bg-accent-soft" : "border-dashed border-line-strong",
      )}
    >
      <span className="min-w-0 flex-1">
        <span className="mono block">{technique.technique.toUpperCase() || t("tacticOnly")}</span>
        {name && (
          <span className="block truncate text-text-2" title={name}>
            {name}
          </span>
        )}
      </span>
      <span className="num text-text-2">{t("rules", { n: technique.rules.length })}</span>
      {technique.alerts > 0 && (
        <span className="num flex items-center gap-1 text-high">
          <span aria-hidden className="size-2 rounded-full bg-high-fill" />
          {format.count(technique.alerts)}
          <span className="sr-only">{t("legendSeen")}</span>
        </span>
      )}
    </button>
  );
}

function Seen({ technique }: { technique: Technique }) {
  const t = useText(text);
  return (
    <span className="num flex flex-wrap items-center gap-x-3">
      <span>{t("running", { n: technique.enabled })}</span>
      <span>{t("alerts", { n: technique.alerts })}</span>
      {technique.technique && technique.alerts > 0 && (
        <Link
          to="/alerts"
          search={{ attack: technique.technique.toLowerCase(), status: "all" }}
          className="text-accent"
        >
          {t("seeAlerts")}
        </Link>
      )}
    </span>
  );
}

function Rules({ rules }: { rules: readonly Rule[] }) {
  const t = useText(text);
  return (
    <ul className="m-0 list-none p-0">
      {rules.map((rule) => (
        <li key={rule.id} className="flex items-center gap-3 border-t border-line py-2 text-sm first:border-0">
          <SeverityMark severity={rule.severity} bare />
          <span className="min-w-0 flex-1 truncate">
            {rule.kind === "rule" ? (
              <Link
                to="/rules/$id"
                params={{ id: rule.id }}
                className="font-medium text-text no-underline hover:text-accent"
              >
                {rule.title}
              </Link>
            ) : (
              <span className="font-medium">{rule.title}</span>
            )}
          </span>
          {!rule.enabled && <Badge>{t("stopped")}</Badge>}
          <Badge tone={rule.kind === "rule" ? "neutral" : "low"}>{t(rule.kind === "rule" ? "rule" : "detector")}</Badge>
          <span className="num text-xs text-text-3">{t("alerts", { n: rule.alerts })}</span>
        </li>
      ))}
    </ul>
  );
}
