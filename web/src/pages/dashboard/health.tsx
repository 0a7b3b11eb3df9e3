import { Link } from "@tanstack/react-router";
import { CircleAlert, CircleCheck } from "lucide-react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { useKpis } from "@/live/live";
import { classes } from "@/ui/classes";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { type Storage, type TileProps, useStorage } from "./data";
import { text } from "./strings";

/** What does not keep up, in words; nothing when all does. */
function useTroubles({ exporters }: TileProps["data"], storage: Storage): string[] {
  const t = useText(text);
  return [
    storage.read_only ? t("readOnly", { why: storage.read_only }) : "",
    storage.quarantined_files > 0 ? t("quarantined", { n: storage.quarantined_files }) : "",
    exporters.waiting > 0 ? t("waiting", { n: exporters.waiting }) : "",
    exporters.silent > 0 ? t("silent", { n: exporters.silent }) : "",
    exporters.losing > 0 ? t("losing", { n: exporters.losing }) : "",
  ].filter(Boolean);
}

function State({ data, storage }: { data: TileProps["data"]; storage: Storage }) {
  const t = useText(text);
  const format = useFormat();
  const kpis = useKpis();
  const troubles = useTroubles(data, storage);
  const number = (key: string, value: string) => (
    <span key={key} className="num">
      {value}
    </span>
  );
  const { total, healthy } = data.exporters;
  return (
    <>
      <div
        className={classes(
          "mb-3 flex items-center gap-2 text-sm font-medium",
          troubles.length > 0 ? "text-medium" : "text-good",
        )}
      >
        {troubles.length > 0 ? <CircleAlert aria-hidden size={16} /> : <CircleCheck aria-hidden size={16} />}
        {t(troubles.length > 0 ? "degraded" : "healthy")}
      </div>
      {troubles.map((trouble) => (
        <p key={trouble} className="m-0 mb-2 text-sm text-text-2">
          {trouble}
        </p>
      ))}
      <Facts
        items={[
          [
            t("exporters"),
            <Link key="e" to="/exporters" className="num text-text no-underline hover:text-accent">
              {t("healthyOf", { healthy, total })}
            </Link>,
          ],
          [t("lost"), kpis && number("x", format.number(kpis.lost_total + kpis.missing_total))],
          [t("stored"), number("r", format.number(storage.rows))],
          [t("onDisk"), number("b", format.bytes(storage.file_bytes))],
          [
            t("oldest"),
            storage.oldest_received !== null && (
              <Ago key="o" time={new Date(storage.oldest_received / 1000).toISOString()} />
            ),
          ],
          [t("lag"), number("l", format.bytes(storage.wal_lag_bytes))],
          [t("memory"), kpis && number("m", format.bytes(kpis.resident_bytes))],
        ]}
      />
    </>
  );
}

/** Whether everything that comes in is kept and looked at. */
export function Health({ data }: TileProps) {
  const t = useText(text);
  const query = useStorage();
  if (!useCan("status:read")) return null;
  return (
    <Panel title={t("health")}>
      <Loaded query={query} rows={5}>
        {(storage) => <State data={data} storage={storage} />}
      </Loaded>
    </Panel>
  );
}
