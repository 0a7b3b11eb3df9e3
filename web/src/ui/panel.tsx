import type { ReactNode } from "react";
import { classes } from "./classes";

/** A titled surface, the unit that pages are laid out of. */
export function Panel({
  title,
  aside,
  children,
  className,
  flush,
  label,
}: {
  title?: ReactNode;
  /** Makes the panel a region of this name, for those who jump between regions. */
  label?: string;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
  /** The content reaches the edges: tables and charts. */
  flush?: boolean;
}) {
  return (
    <section aria-label={label} className={classes("panel flex min-w-0 flex-col", className)}>
      {(title || aside) && (
        <header className="flex min-h-11 flex-wrap items-center gap-x-3 gap-y-1 px-4 pt-1">
          <h2 className="m-0 min-w-0 grow truncate text-sm font-semibold text-text">{title}</h2>
          {aside}
        </header>
      )}
      <div className={classes("min-h-0 min-w-0 flex-1", !flush && (title || aside ? "px-4 pb-4 pt-1" : "p-4"))}>
        {children}
      </div>
    </section>
  );
}

/** The head of a page: its name, what it is about, its actions. */
export function PageHeader({
  title,
  detail,
  children,
}: {
  title: ReactNode;
  detail?: ReactNode;
  children?: ReactNode;
}) {
  return (
    <header className="flex flex-wrap items-center gap-x-4 gap-y-2 px-4 pb-3 pt-5 md:px-6">
      <div className="min-w-0 flex-1 max-sm:basis-full">
        <h1 className="m-0 truncate text-xl font-semibold tracking-[-0.012em]">{title}</h1>
        {detail && <div className="mt-0.5 text-sm text-text-3">{detail}</div>}
      </div>
      {children && <div className="flex flex-wrap items-center gap-2">{children}</div>}
    </header>
  );
}

/** Names and values below one another. */
export function Facts({ items }: { items: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="m-0 grid grid-cols-[minmax(96px,auto)_1fr] gap-x-4 gap-y-2 text-sm">
      {items
        .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
        .map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-text-3">{name}</dt>
            <dd className="m-0 min-w-0 break-words text-text">{value}</dd>
          </div>
        ))}
    </dl>
  );
}
