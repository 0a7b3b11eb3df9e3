import { Monitor, Smartphone, Terminal } from "lucide-react";
import type { Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { catalogue } from "@/i18n/text";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Ago } from "@/ui/time";

type SessionRow = Schema<"SessionRow">;

const text = catalogue({
  current: ["This one", "Diese"],
  end: ["End", "Beenden"],
  unknown: ["Unknown program", "Unbekanntes Programm"],
  seen: ["Last seen", "Zuletzt"],
});

const BROWSERS: readonly [pattern: RegExp, name: string][] = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\//, "Firefox"],
  [/Chrome\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS: readonly [pattern: RegExp, name: string][] = [
  [/Android/, "Android"],
  [/iPhone|iPad/, "iOS"],
  [/Windows/, "Windows"],
  [/Mac OS/, "macOS"],
  [/Linux/, "Linux"],
];

/** "Firefox, Linux" from a user agent. */
export function agentName(agent: string | null | undefined): string | null {
  if (!agent) return null;
  const browser = BROWSERS.find(([pattern]) => pattern.test(agent))?.[1];
  const system = SYSTEMS.find(([pattern]) => pattern.test(agent))?.[1];
  return [browser, system].filter(Boolean).join(", ") || agent.slice(0, 40);
}

/** Where somebody is signed in. */
export function SessionRows({ rows, onEnd }: { rows: readonly SessionRow[]; onEnd?: (row: SessionRow) => void }) {
  const t = useText(text);
  return (
    <ul className="m-0 flex list-none flex-col p-0">
      {rows.map((row) => {
        const Icon = /Android|iPhone/.test(row.user_agent ?? "")
          ? Smartphone
          : /Mozilla/.test(row.user_agent ?? "")
            ? Monitor
            : Terminal;
        return (
          <li key={row.id} className="flex items-center gap-3 border-t border-line py-2.5 text-sm first:border-0">
            <Icon aria-hidden size={18} className="shrink-0 text-text-3" />
            <span className="min-w-0 flex-1">
              <span className="flex items-center gap-2 truncate font-medium">
                {agentName(row.user_agent) ?? t("unknown")} {row.current && <Badge tone="good">{t("current")}</Badge>}
              </span>
              <span className="block text-xs text-text-3">
                <span className="mono">{row.ip ?? "–"}</span> · {t("seen")} <Ago time={row.last_seen} />
              </span>
            </span>
            {onEnd && !row.current && (
              <Button look="quiet" onClick={() => onEnd(row)}>
                {t("end")}
              </Button>
            )}
          </li>
        );
      })}
    </ul>
  );
}
