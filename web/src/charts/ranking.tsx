import type { ReactNode } from "react";

interface RankingRow {
  key: string;
  label: ReactNode;
  value: number;
  shown: string;
}

/** Largest first, each with a bar of its share of the largest. */
export function Ranking({ rows, label }: { rows: readonly RankingRow[]; label: string }) {
  const top = Math.max(1, ...rows.map((row) => row.value));
  return (
    <ol aria-label={label} className="m-0 flex list-none flex-col p-0">
      {rows.map((row) => (
        <li key={row.key} className="relative flex min-h-8 items-center justify-between gap-3 px-2 text-sm">
          <span
            aria-hidden
            className="absolute inset-y-1 left-0 rounded-s bg-accent-soft"
            style={{ width: `${(row.value / top) * 100}%` }}
          />
          <span className="relative flex min-w-0 flex-1">{row.label}</span>
          <span className="num relative shrink-0 text-text-2">{row.shown}</span>
        </li>
      ))}
    </ol>
  );
}
