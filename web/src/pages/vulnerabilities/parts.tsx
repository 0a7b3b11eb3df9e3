import { Link } from "@tanstack/react-router";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Badge, SeverityMark } from "@/ui/badge";
import { At } from "@/ui/time";
import { text } from "./strings";

/** How bad, in a word and a picture; what nobody has rated says so. */
export function Rating({ rating }: { rating: string | undefined }) {
  const t = useText(text);
  if (rating && ["critical", "high", "medium", "low"].includes(rating)) return <SeverityMark severity={rating} />;
  return <span className="text-sm text-text-3">{t(rating === "none" ? "none" : "unknown")}</span>;
}

/** The risk as a number and a bar. */
export function Risk({ risk }: { risk: number }) {
  const t = useText(text);
  const format = useFormat();
  const shown = risk >= 10 ? Math.round(risk) : Math.round(risk * 10) / 10;
  const tone =
    risk >= 40 ? "bg-critical-fill" : risk >= 10 ? "bg-high-fill" : risk >= 1 ? "bg-medium-fill" : "bg-low-fill";
  return (
    <span className="flex items-center justify-end gap-2" title={t("riskHint", { n: shown })}>
      <span aria-hidden className="h-1.5 w-10 overflow-hidden rounded-full bg-line">
        <span className={`block h-full ${tone}`} style={{ width: `${Math.max(4, Math.min(100, risk))}%` }} />
      </span>
      <span className="num w-9 text-right">{format.number(shown)}</span>
    </span>
  );
}

/** A name that leads to what is known of it. */
export function Name({ name, exploited }: { name: string; exploited?: boolean | undefined }) {
  const t = useText(text);
  return (
    <span className="flex min-w-0 items-center gap-2">
      <Link
        to="/vulnerabilities/$name"
        params={{ name }}
        className="mono min-w-0 truncate font-medium text-text no-underline hover:text-accent"
      >
        {name}
      </Link>
      {exploited && (
        <span title={t("exploitedHint")}>
          <Badge tone="critical">{t("exploited")}</Badge>
        </span>
      )}
    </span>
  );
}

export function Fixes({ versions }: { versions: readonly string[] | undefined }) {
  const t = useText(text);
  if (!versions || versions.length === 0) return <span className="text-text-3">{t("noFix")}</span>;
  return <span className="mono truncate">{versions.join(", ")}</span>;
}

const TONES = {
  open: "high",
  not_running: "neutral",
  excepted: "neutral",
  fixed: "good",
  withdrawn: "neutral",
} as const;

/** How a finding stands; that a restart is enough stands beside. */
export function Standing({ state, restart = false }: { state: string; restart?: boolean }) {
  const t = useText(text);
  const known = state in TONES ? (state as keyof typeof TONES) : "open";
  return (
    <span className="inline-flex gap-1">
      <span title={known === "not_running" ? t("notRunningHint") : undefined}>
        <Badge tone={TONES[known]}>{t(known)}</Badge>
      </span>
      {restart && (
        <span title={t("restartHint")}>
          <Badge tone="accent">{t("restartMark")}</Badge>
        </span>
      )}
    </span>
  );
}

/** Until when it is to be fixed. */
export function Due({ due, overdue }: { due: string | null | undefined; overdue: boolean }) {
  if (!due) return <span className="text-text-3">–</span>;
  return (
    <span className={overdue ? "font-medium text-critical" : undefined}>
      <At time={due} />
    </span>
  );
}
