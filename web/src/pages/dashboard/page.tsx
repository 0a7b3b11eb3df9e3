import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { FileText, LayoutGrid, RefreshCw } from "lucide-react";
import { useMemo, useState } from "react";
import { freshen } from "@/api/list";
import { useKept } from "@/app/kept";
import { usePaper } from "@/app/paper";
import { useText } from "@/app/preferences";
import { bounds, rangeText } from "@/app/range";
import { useCan, useSession } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { IconButton } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Select } from "@/ui/form";
import { FileMenu } from "@/ui/grid/export-menu";
import { PageHeader } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Arrangeable, ArrangeBar } from "./arrange";
import { dashboardQuery } from "./data";
import { type Layout, REFRESHES, readLayout, SPAN_CLASSES, TILES } from "./layout";
import { type DashboardSearch, SPANS, type Span } from "./search";
import { text } from "./strings";

/** The figures of the range that is shown, to print or to work on. */
function Summary({ span }: { span: Span }) {
  const t = useText(text);
  const paper = usePaper();
  const as = (label: string, format: "pdf" | "json") =>
    paper({
      label,
      path: "/api/v1/reports/summary",
      query: () => ({ ...bounds(span), format }),
      file: `summary.${format}`,
    });
  return (
    <FileMenu
      trigger={<IconButton label={t("summary")} icon={FileText} look="plain" />}
      items={[as(t("summaryPdf"), "pdf"), as(t("summaryJson"), "json")]}
    />
  );
}

function Tools({
  state,
  layout,
  onState,
  onLayout,
  onArrange,
  busy,
}: {
  state: DashboardSearch;
  layout: Layout;
  onState: (part: Partial<DashboardSearch>) => void;
  onLayout: (layout: Layout) => void;
  onArrange: () => void;
  busy: boolean;
}) {
  const t = useText(text);
  const r = useText(rangeText);
  const format = useFormat();
  const client = useQueryClient();
  const figures = useCan("alerts:read");
  return (
    <>
      <Select
        label={r("range")}
        value={state.range ?? "24h"}
        onChange={(range) => onState({ range: range === "24h" ? undefined : range })}
        options={SPANS.map((value) => ({ value, label: r(value) }))}
      />
      <Select
        label={t("replays")}
        value={state.replay ?? "exclude"}
        onChange={(replay) => onState({ replay: replay === "include" ? replay : undefined })}
        options={[
          { value: "exclude" as const, label: t("replaysWithout") },
          { value: "include" as const, label: t("replaysWith") },
        ]}
      />
      <Select
        label={t("refreshEvery")}
        value={String(layout.refresh)}
        onChange={(seconds) => onLayout({ ...layout, refresh: Number(seconds) })}
        options={REFRESHES.map((seconds) => ({
          value: String(seconds),
          label: seconds === 0 ? t("refreshNever") : format.duration(seconds),
        }))}
      />
      <IconButton
        label={t("refresh")}
        icon={RefreshCw}
        look="plain"
        aria-busy={busy || undefined}
        onClick={() => freshen(client, ["dashboard", "alerts"])}
      />
      {figures && <Summary span={state.range ?? "24h"} />}
      <IconButton label={t("arrange")} icon={LayoutGrid} look="plain" onClick={onArrange} />
    </>
  );
}

export default function DashboardPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/" });
  const navigate = useNavigate({ from: "/" });
  const { permissions } = useSession();
  const [layout, choose] = useKept("dashboard", readLayout);
  const [arranging, setArranging] = useState(false);
  const span = state.range ?? "24h";
  const replays = state.replay === "include";
  const query = useQuery({
    ...dashboardQuery(span, replays),
    refetchInterval: layout.refresh > 0 ? layout.refresh * 1000 : false,
    placeholderData: (before) => before,
  });
  const allowed = useMemo(
    () => TILES.filter((tile) => !tile.permission || permissions.includes(tile.permission)),
    [permissions],
  );
  const tiles = layout.order
    .flatMap((id) => allowed.filter((tile) => tile.id === id))
    .filter((tile) => !layout.hidden.includes(tile.id));
  const shown = tiles.map((tile) => tile.id);
  return (
    <div className="pb-6">
      <PageHeader title={t("title")} detail={t("lead")}>
        <Tools
          state={state}
          layout={layout}
          onState={(part) => void navigate({ search: (before) => ({ ...before, ...part }), replace: true })}
          onLayout={choose}
          onArrange={() => setArranging(!arranging)}
          busy={query.isFetching}
        />
      </PageHeader>
      {arranging && (
        <ArrangeBar layout={layout} allowed={allowed} onChange={choose} onDone={() => setArranging(false)} />
      )}
      <Loaded query={query} rows={12}>
        {(data) => (
          <div className="grid grid-cols-1 gap-4 px-4 md:px-6 xl:grid-cols-12">
            {tiles.map((tile) => {
              const view = <tile.view data={data} span={span} replays={replays} />;
              return (
                <div
                  key={tile.id}
                  data-tile={tile.id}
                  className={classes(
                    "flex min-w-0 flex-col [&>*]:flex-1",
                    SPAN_CLASSES[layout.widths[tile.id] ?? tile.width],
                    tile.tall && "xl:row-span-2",
                  )}
                >
                  {arranging ? (
                    <Arrangeable tile={tile} shown={shown} layout={layout} onChange={choose}>
                      {view}
                    </Arrangeable>
                  ) : (
                    view
                  )}
                </div>
              );
            })}
          </div>
        )}
      </Loaded>
    </div>
  );
}
