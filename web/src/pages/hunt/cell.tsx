import { Copy, CopyCheck, Crosshair, FilterX } from "lucide-react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { classes } from "@/ui/classes";
import { Menu, MenuItem } from "@/ui/menu";
import { text as ui } from "@/ui/strings";
import { done } from "@/ui/toast";
import { text } from "./strings";

export const PROTOCOLS: Record<number, string> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  47: "gre",
  50: "esp",
  58: "icmp6",
  132: "sctp",
};
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
const BYTES = /^(rev_|raw_|total_)?bytes$/;

/** A value as people read it. */
export function useShow(): (column: string, value: unknown) => string {
  const format = useFormat();
  return (column, value) => {
    if (value === null || value === undefined) return "–";
    if (column === "protocol" && typeof value === "number") return PROTOCOLS[value] ?? String(value);
    if (BYTES.test(column) && typeof value === "number") return format.bytes(value);
    if (typeof value === "string" && TIME.test(value)) return format.time(value);
    if (typeof value === "number" && !/port|_as$|vlan|domain|if$|batch|row/.test(column)) return format.number(value);
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
}

/** A value of a result; a click tells what can be done with it. */
export function Cell({
  column,
  value,
  onOnly,
  onWithout,
  onOpen,
}: {
  column: string;
  value: unknown;
  onOnly?: ((column: string, value: unknown) => void) | undefined;
  onWithout?: ((column: string, value: unknown) => void) | undefined;
  onOpen?: ((value: string) => void) | undefined;
}) {
  const t = useText(text);
  const u = useText(ui);
  const show = useShow();
  const shown = show(column, value);
  if (value === null || value === undefined) return <span className="text-text-3">–</span>;
  const mono = typeof value === "string" && !TIME.test(value) && /ip|mac|hop|hash|key/.test(column);
  const address = /(^|_)(ip|exporter)$/.test(column) || column === "exporter";
  return (
    <Menu
      align="start"
      trigger={
        <button
          type="button"
          aria-label={t("actions", { value: shown })}
          className={classes(
            "num max-w-full truncate rounded-s px-1 -mx-1 text-left hover:bg-accent-soft hover:text-accent",
            mono && "mono",
          )}
        >
          {shown}
        </button>
      }
    >
      {onOnly && (
        <MenuItem icon={Crosshair} onSelect={() => onOnly(column, value)}>
          {t("only", { value: shown })}
        </MenuItem>
      )}
      {onWithout && (
        <MenuItem icon={FilterX} onSelect={() => onWithout(column, value)}>
          {t("without", { value: shown })}
        </MenuItem>
      )}
      {onOpen && address && (
        <MenuItem icon={CopyCheck} onSelect={() => onOpen(String(value))}>
          {t("openEntity", { value: shown })}
        </MenuItem>
      )}
      <MenuItem
        icon={Copy}
        onSelect={() => {
          void navigator.clipboard.writeText(String(value));
          done(u("copied"));
        }}
      >
        {t("copy")}
      </MenuItem>
    </Menu>
  );
}
