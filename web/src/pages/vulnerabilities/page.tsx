import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { FilterX, SearchX, ShieldCheck, ShieldQuestion } from "lucide-react";
import { allPages, useRows } from "@/api/list";
import { usePaper } from "@/app/paper";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Button, LinkButton } from "@/ui/button";
import { Select } from "@/ui/form";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListFrame, ListGrid, ListSearch } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Segmented, Tabs } from "@/ui/tabs";
import { useVulnerabilityColumns, VulnerabilityCard } from "./columns";
import { countQuery, sortOf, vulnerabilitiesQuery } from "./data";
import { Overview } from "./overview";
import { ONLY, RATINGS, VIEWS, type VulnerabilitiesSearch } from "./search";
import { VulnerabilitySettings } from "./settings";
import { text } from "./strings";
import { Compare, Exceptions, FixFirst } from "./tables";

function Filters({
  state,
  onChange,
}: {
  state: VulnerabilitiesSearch;
  onChange: (part: Partial<VulnerabilitiesSearch>) => void;
}) {
  const t = useText(text);
  return (
    <>
      <ListSearch label={t("search")} value={state.q} onSearch={(q) => onChange({ q })} />
      <Segmented
        label={t("rating")}
        value={state.rating ?? "all"}
        onChange={(rating) => onChange({ rating: rating === "all" ? undefined : rating })}
        tabs={(["all", ...RATINGS] as const).map((value) => ({ value, label: t(value) }))}
      />
      <Select
        label={t("only")}
        value={state.only ?? "everything"}
        onChange={(only) => onChange({ only: only === "everything" ? undefined : only })}
        options={(["everything", ...ONLY] as const).map((value) => ({ value, label: t(value) }))}
      />
    </>
  );
}

/** Nothing to show: because nothing fits, because nothing is wrong, or because nobody knows. */
function Nothing({ filtered, advisories }: { filtered: boolean; advisories: boolean }) {
  const t = useText(text);
  if (!advisories) {
    return (
      <Empty
        icon={ShieldQuestion}
        title={t("noAdvisories")}
        action={
          <LinkButton to="/help/$" params={{ _splat: "vulnerabilities" }}>
            {t("about")}
          </LinkButton>
        }
      >
        {t("noAdvisoriesHint")}
      </Empty>
    );
  }
  if (filtered) {
    return (
      <Empty icon={SearchX} title={t("noneFound")}>
        {t("noneFoundHint")}
      </Empty>
    );
  }
  return (
    <Empty icon={ShieldCheck} title={t("nothing")}>
      {t("nothingHint")}
    </Empty>
  );
}

/** What is wrong with the hosts of the fleet. */
export default function VulnerabilitiesPage() {
  const t = useText(text);
  const format = useFormat();
  const state = useSearch({ from: "/inside/vulnerabilities" });
  const navigate = useNavigate({ from: "/vulnerabilities" });
  const view = state.view ?? "list";
  const columns = useVulnerabilityColumns();
  const { shown, ids, choose } = useColumns("vulnerabilities", columns);
  const query = vulnerabilitiesQuery(state);
  const list = useRows(query);
  const count = useQuery(countQuery(state));
  const change = (part: Partial<VulnerabilitiesSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const paper = usePaper();
  const report = paper({
    label: t("pdf"),
    path: "/api/v1/reports/vulnerabilities",
    query: () => ({ ...(state.group ? { group: state.group } : {}), ...(state.tag ? { tag: state.tag } : {}) }),
    file: "vulnerabilities.pdf",
  });
  const filtered = Object.keys(state).some((key) => key !== "sort" && key !== "view");
  const built = count.data?.advisories;
  const detail = [
    ...(count.data ? [t("count", { n: count.data.total })] : []),
    ...(built ? [t("judgedBy", { when: format.time(built) })] : []),
  ];
  return (
    <ListFrame
      title={t("title")}
      detail={detail.join(" · ") || undefined}
      bare={view !== "list"}
      tools={
        view === "list" && (
          <>
            <ExportMenu name="vulnerabilities" columns={columns} pages={() => allPages(query)} more={[report]} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
          </>
        )
      }
      above={
        <>
          {view === "list" && <Overview state={state} />}
          <Tabs
            label={t("parts")}
            value={view}
            onChange={(next) => change({ view: next === "list" ? undefined : next })}
            tabs={VIEWS.map((value) => ({ value, label: t(value) }))}
          />
          {view === "list" && (
            <div className="filter-row px-4 py-3 md:px-6">
              <Filters state={state} onChange={change} />
              {filtered && (
                <Button look="quiet" icon={FilterX} onClick={() => void navigate({ search: {}, replace: true })}>
                  {t("clear")}
                </Button>
              )}
            </div>
          )}
        </>
      }
    >
      {view === "list" ? (
        <ListGrid
          list={list}
          label={t("title")}
          columns={shown}
          rowId={(row) => `${row.ecosystem} ${row.package} ${row.vulnerability}`}
          total={count.data?.total}
          sort={sortOf(state)}
          onSort={(sort) => change({ sort: sort.replace(/^-/, "") })}
          onOpen={(row) => void navigate({ to: "/vulnerabilities/$name", params: { name: row.vulnerability } })}
          card={(row) => <VulnerabilityCard row={row} />}
          cardHeight={76}
          empty={<Nothing filtered={filtered} advisories={Boolean(built)} />}
        />
      ) : (
        <div className={`m-3 min-h-0 flex-1 overflow-auto md:m-6 ${view === "settings" ? "" : "panel"}`}>
          {view === "fixes" && <FixFirst state={state} />}
          {view === "compare" && <Compare state={state} />}
          {view === "exceptions" && <Exceptions />}
          {view === "settings" && <VulnerabilitySettings />}
        </div>
      )}
    </ListFrame>
  );
}
