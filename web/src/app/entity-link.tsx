import { Link } from "@tanstack/react-router";
import { classes } from "@/ui/classes";

/** The kinds of things that have a page of their own. */
export const ENTITY_KINDS = ["ip", "host", "user", "domain", "hash", "url", "email", "file", "other"] as const;

/** An address, machine, account or name; leads to everything that is known about it. */
export function EntityLink({ kind, value, className }: { kind: string; value: string; className?: string }) {
  return (
    <Link
      to="/entities/$kind/$value"
      params={{ kind: (ENTITY_KINDS as readonly string[]).includes(kind) ? kind : "other", value }}
      className={classes("mono truncate text-text no-underline hover:text-accent", className)}
    >
      {value}
    </Link>
  );
}
