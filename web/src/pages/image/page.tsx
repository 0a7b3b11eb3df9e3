import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft, ShieldCheck, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { allPages, useFreshen, useRows } from "@/api/list";
import { useAction } from "@/app/action";
import { usePaper } from "@/app/paper";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { type ImageDetail, imageFindingsQuery, imageQuery } from "@/pages/images/data";
import { type ImageSearch, PARTS, TABS } from "@/pages/images/search";
import { text } from "@/pages/images/strings";
import { Button } from "@/ui/button";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid, ListSearch } from "@/ui/list";
import { Confirm } from "@/ui/overlay";
import { PageHeader } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Segmented, Tabs } from "@/ui/tabs";
import { useImageFindingColumns } from "./columns";
import { Posture } from "./posture";
import { ImageFixes, ImageHistory, ImageLayers } from "./tables";

interface PartProps {
  detail: ImageDetail;
  state: ImageSearch;
  onChange: (part: Partial<ImageSearch>) => void;
}

function Findings({ detail, state, onChange }: PartProps) {
  const t = useText(text);
  const { id } = detail.image;
  const query = imageFindingsQuery(id, state);
  const list = useRows(query);
  const columns = useImageFindingColumns();
  const paper = usePaper();
  const path = `/api/v1/images/${encodeURIComponent(id)}/vulnerabilities/export`;
  const more = (["sarif", "cyclonedx"] as const).map((format) =>
    paper({ label: t(format), path, query: () => ({ format }), file: `vulnerabilities.${format}.json` }),
  );
  return (
    <>
      <div className="filter-row px-4 py-3 md:px-6">
        <ListSearch label={t("searchFindings")} value={state.q} onSearch={(q) => onChange({ q })} />
        {detail.base && (
          <Segmented
            label={t("part")}
            value={state.part ?? "all"}
            onChange={(part) => onChange({ part: part === "all" ? undefined : part })}
            tabs={(["all", ...PARTS] as const).map((value) => ({ value, label: t(value) }))}
          />
        )}
        <span className="ml-auto">
          <ExportMenu name="vulnerabilities" columns={columns} pages={() => allPages(query)} more={more} />
        </span>
      </div>
      <div className="panel mx-3 mb-3 flex h-[30rem] flex-col overflow-hidden md:mx-6 md:mb-6">
        <ListGrid
          list={list}
          label={t("findings")}
          columns={columns}
          rowId={(row) => `${row.ecosystem} ${row.package} ${row.vulnerability}`}
          empty={
            <Empty icon={ShieldCheck} title={t("clean")}>
              {t("cleanHint")}
            </Empty>
          }
        />
      </div>
    </>
  );
}

function Forget({ detail }: { detail: ImageDetail }) {
  const t = useText(text);
  const may = useCan("vulnerabilities:images");
  const navigate = useNavigate();
  const refresh = useFreshen("images");
  const { act } = useAction();
  const [asking, setAsking] = useState(false);
  if (!may) return null;
  const { id, name } = detail.image;
  const forget = async () => {
    const params = { path: { id } };
    const done = await act(async () => {
      await must(api.DELETE("/api/v1/images/{id}", { params }));
      return true;
    }, t("forgotten"));
    if (!done) return;
    refresh();
    void navigate({ to: "/images" });
  };
  return (
    <>
      <Button look="danger" icon={Trash2} onClick={() => setAsking(true)}>
        {t("forget")}
      </Button>
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={t("forgetTitle", { name })}
        description={t("forgetHint")}
        action={t("forgetAction")}
        danger
        onConfirm={forget}
      />
    </>
  );
}

function Known({ detail, state, onChange }: PartProps) {
  const t = useText(text);
  const tab = state.tab ?? "list";
  return (
    <>
      <Posture detail={detail} />
      <Tabs
        label={t("parts")}
        value={tab}
        onChange={(next) => onChange({ tab: next === "list" ? undefined : next })}
        tabs={TABS.map((value) => ({ value, label: t(value) }))}
      />
      {tab === "list" || tab === "past" ? (
        <Findings detail={detail} state={state} onChange={onChange} />
      ) : (
        <div className="panel m-3 overflow-auto md:m-6">
          {tab === "fixes" && <ImageFixes detail={detail} />}
          {tab === "layers" && <ImageLayers detail={detail} />}
          {tab === "history" && <ImageHistory detail={detail} />}
        </div>
      )}
    </>
  );
}

/** One image: what is wrong with it, which layer brought that, and what to fix first. */
export default function ImagePage() {
  const t = useText(text);
  const { id } = useParams({ from: "/inside/images/$id" });
  const state = useSearch({ from: "/inside/images/$id" });
  const navigate = useNavigate({ from: "/images/$id" });
  const query = useQuery(imageQuery(id));
  const change = (part: Partial<ImageSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  return (
    <div className="flex flex-col">
      <Link
        to="/images"
        className="ml-4 mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text md:ml-6"
      >
        <ArrowLeft aria-hidden size={14} /> {t("back")}
      </Link>
      <PageHeader title={<span className="mono">{query.data?.image.name ?? "\u00a0"}</span>}>
        {query.data && <Forget detail={query.data} />}
      </PageHeader>
      <Loaded query={query} rows={10}>
        {(detail) => <Known detail={detail} state={state} onChange={change} />}
      </Loaded>
    </div>
  );
}
