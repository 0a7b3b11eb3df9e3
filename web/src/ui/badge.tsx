import type { ReactNode } from "react";
import { useText } from "@/app/preferences";
import { classes } from "./classes";
import { text } from "./strings";

export const SEVERITIES = ["critical", "high", "medium", "low", "informational"] as const;
export type Severity = (typeof SEVERITIES)[number];

export function isSeverity(value: string): value is Severity {
  return (SEVERITIES as readonly string[]).includes(value);
}

const TONES = {
  critical: "bg-critical-soft text-critical",
  high: "bg-high-soft text-high",
  medium: "bg-medium-soft text-medium",
  low: "bg-low-soft text-low",
  informational: "bg-info-soft text-info",
  good: "bg-good-soft text-good",
  accent: "bg-accent-soft text-accent",
  neutral: "bg-info-soft text-info",
} as const;
export type Tone = keyof typeof TONES;

/** A small word on a tinted ground. */
export function Badge({
  tone = "neutral",
  children,
  className,
}: {
  tone?: Tone;
  children: ReactNode;
  className?: string;
}) {
  return (
    <span
      className={classes(
        "inline-flex h-5 items-center gap-1 whitespace-nowrap rounded-s px-1.5 text-xs font-medium",
        TONES[tone],
        className,
      )}
    >
      {children}
    </span>
  );
}

const LEVELS: Record<Severity, number> = { critical: 4, high: 3, medium: 2, low: 1, informational: 0 };
const FILLS: Record<Severity, string> = {
  critical: "bg-critical-fill",
  high: "bg-high-fill",
  medium: "bg-medium-fill",
  low: "bg-low-fill",
  informational: "bg-info-fill",
};

/** Severity as a word and as a scale of four bars, so that it does not hang on colour alone. */
export function SeverityMark({ severity, bare }: { severity: string; bare?: boolean }) {
  const t = useText(text);
  const level: Severity = isSeverity(severity) ? severity : "informational";
  return (
    <span
      className={classes("inline-flex items-center gap-2 text-sm", TONES[level].split(" ")[1])}
      title={bare ? t(level) : undefined}
    >
      <span aria-hidden className="flex items-end gap-[2px]">
        {[1, 2, 3, 4].map((bar) => (
          <span
            key={bar}
            className={classes(
              "w-[3px] rounded-[1px]",
              ["h-[5px]", "h-[7px]", "h-[9px]", "h-[11px]"][bar - 1],
              bar <= LEVELS[level] ? FILLS[level] : "bg-line-strong/60",
            )}
          />
        ))}
      </span>
      <span className={bare ? "sr-only" : "font-medium"}>{t(level)}</span>
    </span>
  );
}

const ALERT_STATUS: Record<string, [tone: Tone, key: "statusNew" | "statusAcknowledged" | "statusClosed"]> = {
  new: ["accent", "statusNew"],
  acknowledged: ["low", "statusAcknowledged"],
  closed: ["neutral", "statusClosed"],
};

export function AlertStatus({ status }: { status: string }) {
  const t = useText(text);
  const known = ALERT_STATUS[status];
  return <Badge tone={known?.[0] ?? "neutral"}>{known ? t(known[1]) : status}</Badge>;
}

export function Kbd({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-flex h-5 min-w-5 items-center justify-center rounded-s border border-line-strong bg-sunken px-1 font-sans text-2xs font-medium text-text-2">
      {children}
    </kbd>
  );
}
