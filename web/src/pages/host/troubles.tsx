import { CircleAlert } from "lucide-react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { type Host, lostRows, type Trouble, troublesOf } from "@/pages/hosts/data";
import { shortSpan } from "@/pages/hosts/parts";
import { text } from "./strings";

/** What needs somebody, in words. Nothing where all is well: that a host is online is said beside its name. */
export function Troubles({ host }: { host: Host }) {
  const t = useText(text);
  const format = useFormat();
  const troubles = troublesOf(host);
  if (troubles.length === 0) return null;
  const say: Record<Trouble, () => string> = {
    revoked: () => t("isRevoked", { when: format.time(host.revoked ?? host.enrolled) }),
    never: () => t("isNever"),
    offline: () => t("isOffline", { when: format.time(host.last_seen ?? host.enrolled) }),
    complaints: () => `${t("isComplaining")}: ${host.health.complaints.join("; ")}`,
    lost: () => t("isLosing", { n: lostRows(host) }),
    skew: () => t("isSkewed", { span: shortSpan(host.health.clock_skew_us, format) }),
    certificate: () => t("isExpiring", { when: format.ago(host.certificate_not_after ?? host.enrolled) }),
  };
  return (
    <ul className="m-0 mb-2 flex list-none flex-col gap-1 rounded-m border border-line bg-medium-soft px-3 py-2 text-sm">
      {troubles.map((trouble) => (
        <li key={trouble} className="flex items-start gap-2">
          <CircleAlert aria-hidden size={15} className="mt-0.5 shrink-0 text-medium" />
          <span className="min-w-0 break-words">{say[trouble]()}</span>
        </li>
      ))}
    </ul>
  );
}
