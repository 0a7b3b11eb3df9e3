import { useMutation } from "@tanstack/react-query";
import { FlaskConical } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { bounds, RANGES, type Range, rangeText } from "@/app/range";
import { text } from "@/pages/rules/strings";
import { SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Failure } from "@/ui/state";
import { At } from "@/ui/time";

interface Found {
  title: string;
  severity: string;
  entity: string;
  group: string;
  count: number;
  summary: string;
  first_seen: string;
  last_seen: string;
}

/** What the text in the editor would have found. */
export function History({ source, valid }: { source: string; valid: boolean }) {
  const t = useText(text);
  const r = useText(rangeText);
  const [range, setRange] = useState<Range>("24h");
  const test = useMutation({
    mutationFn: () => must(api.POST("/api/v1/rules/test", { body: { source, ...bounds(range) } })),
  });
  const alerts = (test.data?.alerts ?? []) as unknown as Found[];
  return (
    <Panel title={t("history")}>
      <p className="mb-3 mt-0 text-sm text-text-2">{t("historyHint")}</p>
      <div className="flex flex-wrap gap-2">
        <Select
          label={r("range")}
          value={range}
          onChange={setRange}
          options={RANGES.map((value) => ({ value, label: r(value) }))}
        />
        <Button icon={FlaskConical} busy={test.isPending} disabled={!valid} onClick={() => test.mutate()}>
          {t("test")}
        </Button>
      </div>
      {test.error && <Failure error={test.error} />}
      {test.data && (
        <div className="mt-4" aria-live="polite">
          <div className="num text-sm font-semibold">
            {alerts.length > 0
              ? t("found", { n: alerts.length, rows: test.data.rows })
              : t("foundNone", { rows: test.data.rows })}
          </div>
          {test.data.truncated && <div className="text-xs text-medium">{t("truncated")}</div>}
          <ul className="m-0 mt-2 flex max-h-96 list-none flex-col overflow-y-auto p-0">
            {alerts.map((alert) => (
              <li
                key={`${alert.entity}-${alert.group}-${alert.first_seen}`}
                className="border-t border-line py-2.5 text-sm"
              >
                <div className="flex items-center justify-between gap-3">
                  <span className="mono truncate">{alert.entity}</span>
                  <SeverityMark severity={alert.severity} />
                </div>
                <div className="mt-1 text-text-2">{alert.summary}</div>
                <div className="mt-1 text-xs text-text-3">
                  <At time={alert.first_seen} />
                </div>
              </li>
            ))}
          </ul>
        </div>
      )}
    </Panel>
  );
}
