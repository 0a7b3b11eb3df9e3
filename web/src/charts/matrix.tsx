import { Link } from "@tanstack/react-router";
import { useFormat } from "@/i18n/format";
import type { AlertSearch } from "@/pages/alerts/search";
import { useTechniqueName } from "./technique";

export interface Tactic {
  id: string;
  name: string;
  cells: readonly { id: string; value: number }[];
}

/** Techniques below their tactics, darker where there is more; each leads to its alerts. */
export function Matrix({
  tactics,
  label,
  search,
}: {
  tactics: readonly Tactic[];
  label: string;
  search: (technique: string) => AlertSearch;
}) {
  const format = useFormat();
  const nameOf = useTechniqueName();
  const top = Math.max(1, ...tactics.flatMap((tactic) => tactic.cells.map((cell) => cell.value)));
  return (
    <ul aria-label={label} className="m-0 flex list-none flex-col gap-2.5 p-0">
      {tactics.map((tactic) => (
        <li key={tactic.id} className="grid grid-cols-[120px_1fr] items-start gap-3">
          <span className="pt-1 text-xs text-text-2">{tactic.name}</span>
          <span className="flex flex-wrap gap-1">
            {tactic.cells.map(({ id, value }) => (
              <Link
                key={id}
                to="/alerts"
                search={search(id)}
                title={nameOf(id)}
                className="relative flex h-7 items-center gap-2 overflow-hidden rounded-s border border-line px-2 text-xs text-text no-underline hover:border-accent"
              >
                <span
                  aria-hidden
                  className="absolute inset-0 bg-high-fill"
                  style={{ opacity: value === 0 ? 0 : 0.06 + 0.28 * (value / top) }}
                />
                <span className="mono relative">{id.toUpperCase()}</span>
                <span className="num relative text-text-2">{format.count(value)}</span>
              </Link>
            ))}
          </span>
        </li>
      ))}
    </ul>
  );
}
