import { Link } from "@tanstack/react-router";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { scheduledHunt, scheduledIn } from "@/pages/policies/data";
import { text } from "@/pages/policies/strings";
import { Badge } from "@/ui/badge";
import { Panel } from "@/ui/panel";

/** What hosts ask themselves by this policy, with the ways to ask now and to what came of it. */
export function Scheduled({ document }: { document: unknown }) {
  const t = useText(text);
  const format = useFormat();
  const asks = useCan("hosts:query");
  const hunts = useCan("flows:sql");
  const queries = scheduledIn(document);
  const link = "text-xs text-accent no-underline hover:underline";
  return (
    <Panel title={t("scheduled")} label={t("scheduled")}>
      {queries.length === 0 && <p className="m-0 text-sm text-text-3">{t("scheduledNone")}</p>}
      <ul className="m-0 flex list-none flex-col gap-3 p-0 text-sm">
        {queries.map(({ name, sql, every_s, snapshot, enabled }) => (
          <li key={name} className="flex flex-col gap-1">
            <span className="flex flex-wrap items-center gap-2">
              <span className="min-w-0 break-words font-medium">{name}</span>
              <span className="text-xs text-text-3">{t("scheduledEvery", { span: format.duration(every_s) })}</span>
              {snapshot && <Badge tone="neutral">{t("scheduledSnapshot")}</Badge>}
              {!enabled && <Badge tone="medium">{t("scheduledOff")}</Badge>}
            </span>
            <code className="mono line-clamp-2 break-all text-xs text-text-2">{sql}</code>
            <span className="flex gap-4">
              {asks && (
                <Link to="/live-query" search={{ sql }} className={link}>
                  {t("scheduledTry")}
                </Link>
              )}
              {hunts && (
                <Link to="/hunt" search={{ mode: "sql", sql: scheduledHunt(name) }} className={link}>
                  {t("scheduledRows")}
                </Link>
              )}
            </span>
          </li>
        ))}
      </ul>
      {asks && queries.length === 0 && (
        <Link to="/live-query" className={link}>
          {t("scheduledWrite")}
        </Link>
      )}
    </Panel>
  );
}
