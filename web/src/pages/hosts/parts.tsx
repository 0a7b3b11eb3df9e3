import { Link } from "@tanstack/react-router";
import { useText } from "@/app/preferences";
import { type Format, useFormat } from "@/i18n/format";
import { Badge, type Tone } from "@/ui/badge";
import { Ago } from "@/ui/time";
import { type Host, isSkewed, lostRows } from "./data";
import { text } from "./strings";

const TONES: Record<string, Tone> = { online: "good", offline: "medium", never: "neutral", revoked: "critical" };

/** How a host stands. A point says it as well, so that the colour is not all there is. */
export function HostStatus({ status }: { status: string }) {
  const t = useText(text);
  const known = status in TONES ? t(status as "online") : status;
  return (
    <Badge tone={TONES[status] ?? "neutral"}>
      <span
        aria-hidden
        className={
          status === "online" ? "size-1.5 rounded-full bg-current" : "size-1.5 rounded-full border border-current"
        }
      />
      {known}
    </Badge>
  );
}

/** Tags or groups as far as there is room; each leads to the hosts that have it. */
export function Labels({ labels, by, max = 2 }: { labels: readonly string[]; by: "tag" | "group"; max?: number }) {
  const t = useText(text);
  if (labels.length === 0) return <span className="text-text-3">–</span>;
  return (
    <span className="flex min-w-0 items-center gap-1" title={labels.join(", ")}>
      {labels.slice(0, max).map((label) => (
        <Link
          key={label}
          to="/hosts"
          search={by === "tag" ? { tag: label } : { group: label }}
          className="min-w-0 truncate rounded-s bg-info-soft px-1.5 text-xs/5 font-medium text-info no-underline hover:text-text"
        >
          {label}
        </Link>
      ))}
      {labels.length > max && <span className="text-xs text-text-3">{t("more", { n: labels.length - max })}</span>}
    </span>
  );
}

/** A span of time as short as it may be read. */
export function shortSpan(us: number, format: Format): string {
  const span = Math.abs(us);
  if (span < 1_000) return `${format.number(span)}\u00a0µs`;
  if (span < 1_000_000) return `${format.number(Math.round(span / 1_000))}\u00a0ms`;
  return format.duration(Math.round(span / 1_000_000));
}

/** How far the clock of a host is from the server's. */
export function Skew({ host }: { host: Host }) {
  const t = useText(text);
  const format = useFormat();
  const { clock_skew_us: skew } = host.health;
  if (host.last_seen === null || host.last_seen === undefined) return <span className="text-text-3">–</span>;
  if (Math.abs(skew) < 100_000) return <span className="text-text-3">{t("exact")}</span>;
  const said = t(skew > 0 ? "ahead" : "behind", { span: shortSpan(skew, format) });
  return <span className={isSkewed(host) ? "text-high" : ""}>{said}</span>;
}

export function Lost({ host }: { host: Host }) {
  const format = useFormat();
  const lost = lostRows(host);
  return <span className={lost > 0 ? "text-high" : "text-text-3"}>{format.count(lost)}</span>;
}

export function Complaints({ host }: { host: Host }) {
  const { complaints } = host.health;
  if (complaints.length === 0) return <span className="text-text-3">–</span>;
  return (
    <span title={complaints.join("\n")} className="text-high">
      {complaints[0]}
    </span>
  );
}

/** When a host was last heard: one that is connected is heard now. */
export function LastSeen({ host }: { host: Host }) {
  const t = useText(text);
  return host.status === "online" ? <span className="text-good">{t("now")}</span> : <Ago time={host.last_seen} />;
}
