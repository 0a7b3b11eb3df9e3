import { DatabaseZap, SearchX } from "lucide-react";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Examples } from "@/ui/examples";
import type { Column } from "@/ui/grid/column";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { Panel } from "@/ui/panel";
import { Empty, Failure, Loading } from "@/ui/state";
import { Cell } from "./cell";
import type { QueryAnswer } from "./data";
import { EXAMPLES } from "./sample";
import { text } from "./strings";

interface Row {
  id: string;
  cells: readonly unknown[];
}

/** The rows of an answer, all of them, scrolled through without drawing more than the window shows. */
export function SqlResult({
  answer,
  error,
  busy,
  onOpen,
  onExample,
}: {
  answer: QueryAnswer | undefined;
  error: unknown;
  busy: boolean;
  onOpen: ((value: string) => void) | undefined;
  onExample: (sql: string) => void;
}) {
  const t = useText(text);
  const format = useFormat();
  const rows = useMemo<Row[]>(
    () => answer?.rows.map((cells, index) => ({ id: String(index), cells: cells as unknown[] })) ?? [],
    [answer],
  );
  const columns = useMemo<readonly Column<Row>[]>(
    () =>
      answer?.columns.map((column, index) => ({
        id: column.name,
        label: column.name,
        width: /Timestamp/.test(column.type) ? 180 : 140,
        end: /Int|Float|Decimal/.test(column.type),
        cell: (row) => <Cell column={column.name} value={row.cells[index]} onOpen={onOpen} />,
        value: (row) => row.cells[index],
      })) ?? [],
    [answer, onOpen],
  );
  if (busy)
    return (
      <Panel>
        <Loading rows={10} />
      </Panel>
    );
  if (error)
    return (
      <Panel>
        <Failure error={error} />
      </Panel>
    );
  if (!answer) {
    return (
      <Examples
        title={t("examples")}
        examples={EXAMPLES.map(({ label, sql }) => ({ label: t(label), sql }))}
        onExample={onExample}
      />
    );
  }
  return (
    <Panel
      flush
      className="h-[max(420px,calc(100dvh-420px))] overflow-hidden"
      title={
        <span className="flex items-center gap-3">
          <span className="num">
            {t("rowsTook", { rows: answer.rows.length, ms: Math.round(answer.stats.took_ms) })}
          </span>
          {answer.truncated && <Badge tone="medium">{t("truncated")}</Badge>}
          {answer.stats.used_rollup && (
            <Badge tone="good">
              <DatabaseZap aria-hidden size={12} /> {t("rollup")}
            </Badge>
          )}
        </span>
      }
      aside={<ExportMenu name="query" columns={columns} pages={() => [rows]} />}
    >
      <div className="flex h-full flex-col pt-1">
        <Grid
          label={t("sql")}
          columns={columns}
          rows={rows}
          rowId={(row) => row.id}
          empty={
            <Empty
              icon={SearchX}
              title={t("resultNone")}
              action={<Button onClick={() => onExample(EXAMPLES[0]?.sql ?? "")}>{t("examples")}</Button>}
            />
          }
        />
      </div>
      <span className="sr-only">{format.number(rows.length)}</span>
    </Panel>
  );
}
