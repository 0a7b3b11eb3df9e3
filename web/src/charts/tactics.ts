/** ATT&CK's enterprise tactics in the order of an attack. The names are proper names and stay English. */
export const TACTICS: readonly [id: string, name: string][] = [
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

interface Counted {
  tactic: string;
  technique: string;
  alerts: number;
}

const plain = (id: string) => id.toLowerCase().replaceAll("_", "-");

/** Counts by technique, gathered below their tactics, in the order of an attack, most first. */
export function byTactic(
  counts: readonly Counted[],
): { id: string; name: string; cells: { id: string; value: number }[] }[] {
  return TACTICS.map(([id, name]) => ({
    id,
    name,
    cells: counts
      .filter((count) => plain(count.tactic) === id && count.technique)
      .map((count) => ({ id: count.technique, value: count.alerts }))
      .sort((a, b) => b.value - a.value),
  })).filter((tactic) => counts.some((count) => plain(count.tactic) === tactic.id));
}
