import { Link } from "@tanstack/react-router";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import type { Image } from "./data";
import { text } from "./strings";

const FILLS = {
  critical: "bg-critical-fill",
  high: "bg-high-fill",
  medium: "bg-medium-fill",
  low: "bg-low-fill",
} as const;

/** What is open, by rating: a small bar with the number beside, and all of it in words. */
export function FindingsBar({ image }: { image: Image }) {
  const t = useText(text);
  const format = useFormat();
  const parts = (["critical", "high", "medium", "low"] as const).map((key) => ({ key, count: image[key] }));
  const there = parts.filter(({ count }) => count > 0);
  const said = there.map(({ key, count }) => `${t(key)} ${format.count(count)}`).join(", ");
  return (
    <span className="flex min-w-0 items-center gap-2" title={said || undefined}>
      <span
        role="img"
        aria-label={`${t("findingsOf", { name: image.name })}: ${said || "0"}`}
        className="flex h-1.5 min-w-16 flex-1 overflow-hidden rounded-full bg-sunken"
      >
        {there.map(({ key, count }) => (
          <span key={key} className={FILLS[key]} style={{ width: `${(count / Math.max(1, image.open)) * 100}%` }} />
        ))}
      </span>
      <span className="num w-9 text-right">{format.count(image.open)}</span>
    </span>
  );
}

/** The hosts on which it runs, the first by name. */
export function RunningOn({ image, all = false }: { image: Image; all?: boolean }) {
  const t = useText(text);
  const shown = all ? image.hosts : image.hosts.slice(0, 1);
  const more = image.hosts_total - shown.length;
  if (image.hosts_total === 0) return <span className="text-text-3">–</span>;
  return (
    <span className={all ? undefined : "truncate"}>
      {shown.map((host, index) => (
        <span key={host.id}>
          {index > 0 && ", "}
          <Link to="/hosts/$id" params={{ id: host.id }} className="text-text no-underline hover:text-accent">
            {host.name}
          </Link>
        </span>
      ))}
      {more > 0 && <span className="text-text-3"> {t("moreHosts", { n: more })}</span>}
    </span>
  );
}
