import { Link } from "@tanstack/react-router";
import { classes } from "@/ui/classes";

/** An address, machine, account or name; leads to what is known about it. */
export function EntityLink({ value, className }: { kind: string; value: string; className?: string }) {
  return (
    <Link
      to="/alerts"
      search={{ entity: value, status: "all" }}
      className={classes("mono truncate text-text no-underline hover:text-accent", className)}
    >
      {value}
    </Link>
  );
}
