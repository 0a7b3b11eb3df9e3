import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import type { Range } from "@/app/range";
import { useFormat } from "@/i18n/format";
import type { Alert } from "@/pages/alerts/data";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { useAlerts } from "./data";
import { text } from "./strings";

/** ATT&CK's enterprise tactics in the order of an attack. The names are proper names and stay English. */
const TACTICS: readonly [tag: string, name: string][] = [
  ["reconnaissance", "Reconnaissance"],
  ["resource-development", "Resource Development"],
  ["initial-access", "Initial Access"],
  ["execution", "Execution"],
  ["persistence", "Persistence"],
  ["privilege-escalation", "Privilege Escalation"],
  ["stealth", "Stealth"],
  ["defense-evasion", "Defense Evasion"],
  ["credential-access", "Credential Access"],
  ["discovery", "Discovery"],
  ["lateral-movement", "Lateral Movement"],
  ["collection", "Collection"],
  ["command-and-control", "Command and Control"],
  ["exfiltration", "Exfiltration"],
  ["impact", "Impact"],
];

export interface TacticCount {
  tag: string;
  name: string;
  techniques: { id: string; alerts: number }[];
}

/** Counts alerts by technique, below each tactic that their tags name. */
export function countAttack(alerts: readonly Pick<Alert, "attack">[]): TacticCount[] {
  const counts = new Map<string, Map<string, number>>();
  for (const { attack } of alerts) {
    const tags = attack.map((tag) =>
      tag
        .toLowerCase()
        .replace(/^attack\./, "")
        .replaceAll("_", "-"),
    );
    const techniques = tags.filter((tag) => /^t\d{4}/.test(tag)).map((tag) => tag.toUpperCase());
    for (const tactic of tags.filter((tag) => TACTICS.some(([known]) => known === tag))) {
      const row = counts.get(tactic) ?? new Map<string, number>();
      for (const id of techniques) row.set(id, (row.get(id) ?? 0) + 1);
      counts.set(tactic, row);
    }
  }
  return TACTICS.filter(([tag]) => counts.has(tag)).map(([tag, name]) => ({
    tag,
    name,
    techniques: [...(counts.get(tag) ?? [])].map(([id, n]) => ({ id, alerts: n })).sort((a, b) => b.alerts - a.alerts),
  }));
}

/** Which techniques were seen, darker where more often. */
export function Attack({ range }: { range: Range }) {
  const t = useText(text);
  const format = useFormat();
  const query = useAlerts(range);
  const tactics = useMemo(() => countAttack(query.data ?? []), [query.data]);
  const top = Math.max(1, ...tactics.flatMap((tactic) => tactic.techniques.map((technique) => technique.alerts)));
  return (
    <Panel title={t("attack")}>
      <Loaded query={query}>
        {() =>
          tactics.length === 0 ? (
            <p className="m-0 py-8 text-center text-sm text-text-3">{t("noTechniques")}</p>
          ) : (
            <ul className="m-0 flex list-none flex-col gap-2.5 p-0">
              {tactics.map((tactic) => (
                <li key={tactic.tag} className="grid grid-cols-[132px_1fr] items-start gap-3">
                  <span className="truncate pt-1 text-xs text-text-2">{tactic.name}</span>
                  <span className="flex flex-wrap gap-1">
                    {tactic.techniques.map(({ id, alerts }) => (
                      <Link
                        key={id}
                        to="/alerts"
                        search={{ attack: id.toLowerCase(), status: "all" }}
                        className="relative flex h-7 items-center gap-2 overflow-hidden rounded-s border border-line px-2 text-xs text-text no-underline hover:border-accent"
                      >
                        <span
                          aria-hidden
                          className="absolute inset-0 bg-high-fill"
                          style={{ opacity: 0.06 + 0.28 * (alerts / top) }}
                        />
                        <span className="mono relative">{id}</span>
                        <span className="num relative text-text-2">{format.count(alerts)}</span>
                      </Link>
                    ))}
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}
