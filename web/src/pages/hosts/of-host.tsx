import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Column } from "@/ui/grid/column";

/** How far one host has come with something that many were told, and what it says. */
interface OfHost {
  host: string;
  host_name: string;
  text: string;
}

/** The host that a row is about. */
export function hostColumn<T extends OfHost>(label: string): Column<T> {
  return {
    id: "host",
    label,
    width: 150,
    fixed: true,
    cell: (row) => (
      <Link to="/hosts/$id" params={{ id: row.host }} className="font-medium text-text no-underline hover:text-accent">
        {row.host_name}
      </Link>
    ),
    value: (row) => row.host_name,
  };
}

/** What it says, which may be long. */
export function saysColumn<T extends OfHost>(label: string): Column<T> {
  return {
    id: "text",
    label,
    width: 260,
    grow: 4,
    cell: (row) => <Says text={row.text} />,
    value: (row) => row.text,
  };
}

export function Says({ text }: { text: string }) {
  return (
    <span className="text-text-2" title={text || undefined}>
      {text || "–"}
    </span>
  );
}

/** The same where there is no room for columns. */
export function HostCard({ row, mark }: { row: OfHost; mark: ReactNode }) {
  return (
    <div className="flex h-full flex-col justify-between text-sm">
      <div className="flex items-center justify-between gap-3">
        <span className="truncate font-medium">{row.host_name}</span>
        {mark}
      </div>
      <span className="truncate text-xs text-text-2">{row.text || "–"}</span>
    </div>
  );
}
