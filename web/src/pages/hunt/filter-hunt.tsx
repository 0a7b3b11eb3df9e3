import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { SearchX, ZoomOut } from "lucide-react";
import { useCallback, useMemo } from "react";
import { useText } from "@/app/preferences";
import { Bars } from "@/charts/bars";
import { Ranking } from "@/charts/ranking";
import { useFormat } from "@/i18n/format";
import { Button } from "@/ui/button";
import type { TableView } from "@/ui/editor/filter-language";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { Panel } from "@/ui/panel";
import { Empty, Failure, Loaded, Loading } from "@/ui/state";
import { Cell, useShow } from "./cell";
import { type Flow, flowPages, flowsQuery, histogramQuery, type Run, topQuery } from "./data";
import { literal } from "./filter";
import { text } from "./strings";

const SHOWN = new Set([
  "start",
  "src_ip",
  "src_port",
  "dst_ip",
  "dst_port",
  "protocol",
  "bytes",
  "packets",
  "direction",
  "src_process",
]);
const WIDTHS: Record<string, number> = {
  start: 164,
  received: 172,
  end: 172,
  src_port: 76,
  dst_port: 76,
  protocol: 76,
  bytes: 88,
  packets: 80,
};
const TOPS = [
  "src_ip",
  "dst_ip",
  "dst_port",
  "protocol",
  "direction",
  "src_country",
  "dst_country",
  "dst_as_org",
  "exporter",
];

interface Props {
  run: Run;
  table: TableView;
  top: string;
  zoomed: boolean;
  onTop: (column: string) => void;
  onCondition: (condition: string) => void;
  onBrush: (from: number, to: number) => void;
  onReset: () => void;
  onOpen: ((value: string) => void) | undefined;
}

/** What a filter finds: over time, by value, and flow by flow. */
export function FilterHunt({ run, table, top, zoomed, onTop, onCondition, onBrush, onReset, onOpen }: Props) {
  const t = useText(text);
  const format = useFormat();
  const show = useShow();
  const flows = useInfiniteQuery(flowsQuery(run));
  const histogram = useQuery(histogramQuery(run));
  const ranking = useQuery(topQuery(run, top));
  const rows = useMemo(() => flows.data?.pages.flatMap((page) => page.items) ?? [], [flows.data]);
  const columns = useMemo<readonly Column<Flow>[]>(
    () =>
      table.columns.map((column) => ({
        id: column.name,
        label: column.name,
        width: WIDTHS[column.name] ?? 124,
        hidden: !SHOWN.has(column.name),
        end: ["bytes", "packets"].includes(column.name),
        cell: (flow) => (
          <Cell
            column={column.name}
            value={flow[column.name]}
            onOnly={(name, value) => onCondition(`${name} = ${literal(value)}`)}
            onWithout={(name, value) => onCondition(`${name} != ${literal(value)}`)}
            onOpen={onOpen}
          />
        ),
        value: (flow) => flow[column.name],
      })),
    [table, onCondition, onOpen],
  );
  const { shown, ids, choose } = useColumns("hunt", columns);
  const { fetchNextPage, hasNextPage } = flows;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  const total = histogram.data?.buckets.reduce((sum, bucket) => sum + bucket.flows, 0);
  return (
    <div className="grid gap-4 px-4 pb-6 md:px-6 xl:grid-cols-[minmax(0,1fr)_288px]">
      <div className="flex min-w-0 flex-col gap-4">
        <Panel
          title={t("overTime")}
          aside={
            zoomed ? (
              <Button look="quiet" icon={ZoomOut} onClick={onReset}>
                {t("resetZoom")}
              </Button>
            ) : (
              <span className="text-xs text-text-3 max-sm:hidden">{t("brushHint")}</span>
            )
          }
        >
          <Loaded query={histogram} rows={3}>
            {(data) => (
              <Bars
                label={t("overTime")}
                from={Date.parse(data.from)}
                to={Date.parse(data.to)}
                stepMs={data.step_seconds * 1000}
                fills={["var(--accent)"]}
                names={[t("flows")]}
                height={88}
                bars={data.buckets.map((bucket) => ({ start: Date.parse(bucket.start), parts: [bucket.flows] }))}
                onBrush={onBrush}
              />
            )}
          </Loaded>
        </Panel>
        <Panel
          flush
          title={
            <span className="flex items-baseline gap-2">
              {t("flows")}{" "}
              {total !== undefined && <span className="num font-normal text-text-3">{format.number(total)}</span>}
            </span>
          }
          aside={
            <span className="flex gap-2">
              <ExportMenu name="flows" columns={columns} pages={() => flowPages(run)} />
              <ColumnsMenu all={columns} ids={ids} choose={choose} />
            </span>
          }
          className="h-[max(420px,calc(100dvh-430px))] overflow-hidden"
        >
          <div className="flex h-full flex-col pt-1">
            {flows.error && !flows.data ? (
              <Failure error={flows.error} onRetry={() => void flows.refetch()} />
            ) : !flows.data ? (
              <Loading rows={10} />
            ) : (
              <Grid
                label={t("flows")}
                columns={shown}
                rows={rows}
                rowId={(flow) => `${String(flow.batch)}-${String(flow.row)}`}
                total={total}
                onMore={hasNextPage ? more : undefined}
                loadingMore={flows.isFetchingNextPage}
                empty={
                  <Empty icon={SearchX} title={t("none")}>
                    {t("noneHint")}
                  </Empty>
                }
              />
            )}
          </div>
        </Panel>
      </div>
      <Panel
        title={t("top")}
        className="self-start"
        aside={
          <Select
            label={t("by")}
            value={top}
            onChange={onTop}
            options={TOPS.map((name) => ({ value: name, label: name }))}
          />
        }
      >
        <Loaded query={ranking} rows={8}>
          {(items) =>
            items.length === 0 ? (
              <p className="m-0 text-sm text-text-3">{t("noTop")}</p>
            ) : (
              <Ranking
                label={t("top")}
                rows={items.map((item) => ({
                  key: String(item[top]),
                  label: (
                    <Cell
                      column={top}
                      value={item[top]}
                      onOnly={(name, value) => onCondition(`${name} = ${literal(value)}`)}
                      onWithout={(name, value) => onCondition(`${name} != ${literal(value)}`)}
                      onOpen={onOpen}
                    />
                  ),
                  value: Number(item.total_flows),
                  shown: show("count", Number(item.total_flows)),
                }))}
              />
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
