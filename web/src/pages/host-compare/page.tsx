import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { ArrowLeft, Equal, GitCompareArrows } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { bounds } from "@/app/range";
import { useSlowText } from "@/app/slow-text";
import { useFormat } from "@/i18n/format";
import { catalogue } from "@/i18n/text";
import { type HostHealth, healthQuery } from "@/pages/host/data";
import { filled, last, pointsOf, seriesOf, taken } from "@/pages/host/series";
import { type Host, hostQuery } from "@/pages/hosts/data";
import { HostStatus } from "@/pages/hosts/parts";
import { text as hosts } from "@/pages/hosts/strings";
import { SearchBox, Switch } from "@/ui/form";
import { PageHeader, Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { type Fact, factsOf } from "./rows";

const text = catalogue({
  title: ["Compare two hosts", "Zwei Hosts vergleichen"],
  lead: [
    "What they are, side by side; differences are marked",
    "Was sie sind, nebeneinander; Unterschiede sind markiert",
  ],
  back: ["All hosts", "Alle Hosts"],
  choose: ["Choose a host…", "Einen Host wählen …"],
  first: ["First host", "Erster Host"],
  second: ["Second host", "Zweiter Host"],
  other: ["Choose two hosts", "Zwei Hosts wählen"],
  otherHint: [
    "Search for a name above, or select two hosts in the list and press Compare.",
    "Oben einen Namen suchen, oder in der Liste zwei Hosts auswählen und Vergleichen drücken.",
  ],
  fact: ["Fact", "Fakt"],
  onlyDifferent: ["Differences only", "Nur Unterschiede"],
  differs: ["differs", "verschieden"],
  alike: ["They are alike", "Sie sind gleich"],
  facts: ["Facts", "Fakten"],
  health: ["In the last hour", "In der letzten Stunde"],
  processor: ["Processor, mean", "Prozessor, Mittel"],
  memory: ["Memory used", "Arbeitsspeicher belegt"],
  load: ["Load", "Last"],
  fullest: ["Fullest file system", "Vollstes Dateisystem"],
  change: ["Choose another", "Anderen wählen"],
});

/** The host at one side, or the search for it. */
function Side({ id, label, onChoose }: { id: string | undefined; label: string; onChoose: (id?: string) => void }) {
  const t = useText(text);
  const [asked, setAsked] = useState("");
  const [typed, setTyped] = useSlowText(asked, setAsked);
  const host = useQuery({ ...hostQuery(id ?? ""), enabled: id !== undefined });
  const found = useQuery({
    queryKey: ["hosts", "choose", asked],
    queryFn: () => must(api.GET("/api/v1/hosts", { params: { query: { search: asked, limit: 8 } } })),
    enabled: id === undefined,
  });
  if (id !== undefined) {
    return (
      <Panel>
        <Loaded query={host} rows={2}>
          {(one) => (
            <div className="flex flex-wrap items-center gap-3">
              <Link
                to="/hosts/$id"
                params={{ id: one.id }}
                className="min-w-0 truncate text-base font-semibold text-text no-underline hover:text-accent"
              >
                {one.name}
              </Link>
              <HostStatus status={one.status} />
              <button type="button" className="ml-auto text-sm text-accent" onClick={() => onChoose()}>
                {t("change")}
              </button>
            </div>
          )}
        </Loaded>
      </Panel>
    );
  }
  return (
    <Panel>
      <SearchBox label={`${label}: ${t("choose")}`} value={typed} onChange={(event) => setTyped(event.target.value)} />
      <ul className="m-0 mt-2 list-none p-0">
        {(found.data?.items ?? []).map((one) => (
          <li key={one.id}>
            <button
              type="button"
              onClick={() => onChoose(one.id)}
              className="flex w-full items-center justify-between gap-3 rounded-s px-2 py-1.5 text-left text-sm hover:bg-hover"
            >
              <span className="truncate font-medium">{one.name}</span>
              <HostStatus status={one.status} />
            </button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

interface Row {
  label: string;
  a: string;
  b: string;
  differs?: boolean;
}

function SideBySide({ title, names, rows }: { title: string; names: readonly [string, string]; rows: readonly Row[] }) {
  const t = useText(text);
  return (
    <Panel title={title} flush>
      <section aria-label={title} tabIndex={0} className="relative overflow-x-auto">
        <table className="w-full table-fixed border-collapse text-sm">
          <thead>
            <tr className="border-b border-line text-xs text-text-3">
              <th className="w-28 px-4 py-2 text-left font-medium sm:w-44">{t("fact")}</th>
              {names.map((name, index) => (
                <th key={index} className="truncate px-4 py-2 text-left font-medium">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr
                key={row.label}
                className={`border-b border-line last:border-0 ${row.differs ? "bg-medium-soft" : ""}`}
              >
                <th scope="row" className="break-words px-4 py-2 text-left align-top font-normal text-text-3">
                  {row.label}
                  {row.differs && <span className="sr-only"> ({t("differs")})</span>}
                </th>
                {[row.a, row.b].map((value, index) => (
                  <td key={index} className="break-words px-4 py-2 align-top">
                    {value || "–"}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Panel>
  );
}

function useHealthRows(a: HostHealth | undefined, b: HostHealth | undefined): Row[] {
  const t = useText(text);
  const format = useFormat();
  const told = (health: HostHealth | undefined) => {
    if (!health) return ["", "", "", ""];
    const busy = pointsOf(seriesOf(health, "cpu_busy"));
    const memory = last(
      taken(pointsOf(seriesOf(health, "memory_total")), pointsOf(seriesOf(health, "memory_available"))),
    );
    const load = last(pointsOf(seriesOf(health, "load_1m")));
    const [fullest] = filled(health);
    return [
      busy.length > 0 ? format.percent(busy.reduce((sum, { value }) => sum + value, 0) / busy.length / 1000) : "",
      memory === null ? "" : format.bytes(memory),
      load === null ? "" : format.number(Math.round(load / 10) / 100),
      fullest ? `${fullest.name}: ${format.percent(fullest.used / fullest.total)}` : "",
    ];
  };
  const [one, other] = [told(a), told(b)];
  return (["processor", "memory", "load", "fullest"] as const).map((label, index) => ({
    label: t(label),
    a: one[index] ?? "",
    b: other[index] ?? "",
  }));
}

function Comparison({ a, b, onlyDifferent }: { a: Host; b: Host; onlyDifferent: boolean }) {
  const t = useText(text);
  const h = useText(hosts);
  const stretch = useMemo(() => ({ from: bounds("1h").from }), []);
  const [one, other] = [useQuery(healthQuery(a.id, stretch)), useQuery(healthQuery(b.id, stretch))];
  const facts = factsOf(a, b).filter((fact) => !onlyDifferent || fact.differs);
  const shown = (fact: Fact, value: string) =>
    fact.label === "status" && value in hosts ? h(value as "online") : value;
  const names = [a.name, b.name] as const;
  const health = useHealthRows(one.data, other.data);
  return (
    <>
      {facts.length === 0 ? (
        <Empty icon={Equal} title={t("alike")} />
      ) : (
        <SideBySide
          title={t("facts")}
          names={names}
          rows={facts.map((fact) => ({
            label: h(fact.label as "os"),
            a: shown(fact, fact.a),
            b: shown(fact, fact.b),
            differs: fact.differs,
          }))}
        />
      )}
      <SideBySide title={t("health")} names={names} rows={health} />
    </>
  );
}

/** Two hosts side by side. */
export default function ComparePage() {
  const t = useText(text);
  const { a, b, same } = useSearch({ from: "/inside/hosts/compare" });
  const navigate = useNavigate({ from: "/hosts/compare" });
  const change = (part: { a?: string | undefined; b?: string | undefined; same?: boolean | undefined }) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const [one, other] = [
    useQuery({ ...hostQuery(a ?? ""), enabled: a !== undefined }),
    useQuery({ ...hostQuery(b ?? ""), enabled: b !== undefined }),
  ];
  const both = a !== undefined && b !== undefined && one.data && other.data;
  return (
    <div className="mx-auto max-w-[1200px] pb-8">
      <div className="px-4 md:px-6">
        <Link
          to="/hosts"
          className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
        >
          <ArrowLeft aria-hidden size={14} /> {t("back")}
        </Link>
      </div>
      <PageHeader title={t("title")} detail={t("lead")}>
        <span className="flex items-center gap-2 text-sm">
          <Switch
            label={t("onlyDifferent")}
            checked={same === true}
            onChange={(on) => change({ same: on || undefined })}
          />
          {t("onlyDifferent")}
        </span>
      </PageHeader>
      <div className="flex flex-col gap-4 px-4 md:px-6">
        <div className="grid items-start gap-4 md:grid-cols-2">
          <Side id={a} label={t("first")} onChoose={(id) => change({ a: id })} />
          <Side id={b} label={t("second")} onChoose={(id) => change({ b: id })} />
        </div>
        {both ? (
          <Comparison a={one.data as Host} b={other.data as Host} onlyDifferent={same === true} />
        ) : (
          <Empty icon={GitCompareArrows} title={t("other")}>
            {t("otherHint")}
          </Empty>
        )}
      </div>
    </div>
  );
}
