import { useMutation } from "@tanstack/react-query";
import { FlaskConical } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { EntityLink } from "@/app/entity-link";
import { useText } from "@/app/preferences";
import { bounds, RANGES, type Range, rangeText } from "@/app/range";
import { Bars } from "@/charts/bars";
import { useShow } from "@/pages/hunt/cell";
import { text } from "@/pages/rules/strings";
import { SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Failure } from "@/ui/state";
import { Table } from "@/ui/table";
import { At } from "@/ui/time";

type Answer = Schema<"TestAnswer">;

interface Found {
  title: string;
  severity: string;
  entity: string;
  group: string;
  count: number;
  summary: string;
  first_seen: string;
}

/** What the text in the editor would have found, over the history that was recorded. */
export function History({ source, valid }: { source: string; valid: boolean }) {
  const t = useText(text);
  const r = useText(rangeText);
  const [range, setRange] = useState<Range>("24h");
  const test = useMutation({
    mutationFn: async () => {
      const stretch = bounds(range);
      const answer = await must(api.POST("/api/v1/rules/test", { body: { source, ...stretch } }));
      return { answer, ...stretch };
    },
  });
  return (
    <Panel
      title={t("history")}
      aside={
        <>
          <Select
            label={r("range")}
            value={range}
            onChange={setRange}
            options={RANGES.map((value) => ({ value, label: r(value) }))}
          />
          <Button icon={FlaskConical} busy={test.isPending} disabled={!valid} onClick={() => test.mutate()}>
            {t("test")}
          </Button>
        </>
      }
    >
      <p className="mb-3 mt-0 text-sm text-text-2">{t("historyHint")}</p>
      {test.error && <Failure error={test.error} />}
      {test.data && <Result {...test.data} />}
    </Panel>
  );
}

/** What a test found. */
export function Result({ answer, from, to }: { answer: Answer; from: string; to: string }) {
  const t = useText(text);
  const alerts = answer.alerts as unknown as Found[];
  return (
    <div className="flex flex-col gap-4" aria-live="polite">
      <div>
        <div className="num text-sm font-semibold">
          {answer.alerts_total > 0
            ? t("found", { n: answer.alerts_total, rows: answer.rows })
            : t("foundNone", { rows: answer.rows })}
        </div>
        <div className="num flex flex-wrap gap-x-3 text-xs text-text-3">
          <span>{t("backtestMatched", { n: answer.matched })}</span>
          {answer.excepted > 0 && <span>{t("backtestExcepted", { n: answer.excepted })}</span>}
          <span>{t("backtestTook", { ms: Math.round(answer.took_ms) })}</span>
          {answer.truncated && <span className="text-medium">{t("truncated")}</span>}
        </div>
      </div>
      {answer.matched > 0 && (
        <Bars
          label={t("backtestOver")}
          from={Date.parse(from)}
          to={Date.parse(to)}
          stepMs={answer.step_seconds * 1000}
          fills={["var(--accent)", "var(--high-fill)"]}
          names={[t("backtestMatches"), t("backtestAlerts")]}
          height={80}
          bars={answer.histogram.map((step) => ({ start: Date.parse(step.start), parts: [step.matched, step.alerts] }))}
        />
      )}
      {alerts.length > 0 && (
        <section>
          <h3 className="m-0 mb-1 text-xs font-semibold text-text-3">
            {t("backtestAlerts")}{" "}
            {answer.alerts_total > alerts.length &&
              t("backtestFirst", { n: alerts.length, total: answer.alerts_total })}
          </h3>
          <ul className="m-0 flex max-h-80 list-none flex-col overflow-y-auto p-0">
            {alerts.map((alert, index) => (
              <li key={index} className="border-t border-line py-2 text-sm">
                <div className="flex items-center justify-between gap-3">
                  <EntityLink kind="ip" value={alert.entity} />
                  <SeverityMark severity={alert.severity} />
                </div>
                <div className="mt-0.5 text-text-2">{alert.summary}</div>
                <div className="text-xs text-text-3">
                  <At time={alert.first_seen} />
                </div>
              </li>
            ))}
          </ul>
        </section>
      )}
      {answer.matches.length > 0 && <Matches rows={answer.matches} total={answer.matched} />}
    </div>
  );
}

const COLUMNS = ["start", "src_ip", "src_port", "dst_ip", "dst_port", "protocol", "packets", "bytes"];

/** The rows that matched, as they were recorded. */
function Matches({ rows, total }: { rows: Answer["matches"]; total: number }) {
  const t = useText(text);
  const show = useShow();
  const events = rows as unknown as Record<string, unknown>[];
  const heads = useMemo(
    () =>
      COLUMNS.map((name) => ({
        id: name,
        label: name,
        end: name === "packets" || name === "bytes",
        cell: (event: Record<string, unknown>) => show(name, event[name]),
      })),
    [show],
  );
  return (
    <section>
      <h3 className="m-0 mb-1 text-xs font-semibold text-text-3">
        {t("backtestMatches")} {total > rows.length && t("backtestFirst", { n: rows.length, total })}
      </h3>
      <Table
        label={t("backtestMatches")}
        rows={events}
        rowId={(_, index) => String(index)}
        heads={heads}
        className="max-h-80 rounded-m border border-line"
      />
    </section>
  );
}
