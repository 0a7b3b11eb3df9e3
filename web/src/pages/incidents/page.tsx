import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, Settings2, ShieldCheck } from "lucide-react";
import { useCallback, useState } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { Views } from "@/saved/views";
import { Button, LinkButton } from "@/ui/button";
import { NOTHING, type Selection } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListFrame, ListGrid } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Board } from "./board";
import { IncidentBulk } from "./bulk";
import { IncidentLine, useIncidentColumns } from "./columns";
import { CreateIncident } from "./create";
import { facetsQuery, incidentsQuery } from "./data";
import { Filters } from "./filters";
import { type IncidentSearch, incidentSearch } from "./search";
import { text } from "./strings";

export default function IncidentsPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/incidents" });
  const navigate = useNavigate({ from: "/incidents" });
  const write = useCan("incidents:write");
  const [creating, setCreating] = useState(false);
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const columns = useIncidentColumns();
  const { shown, ids, choose } = useColumns("incidents", columns);
  const board = state.view === "board";
  const query = incidentsQuery(state);
  const list = useRows(query, !board);
  const facets = useQuery(facetsQuery(state));
  const total = facets.data?.total;
  const change = useCallback(
    (part: Partial<IncidentSearch>) => {
      setSelection(NOTHING);
      void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
    },
    [navigate],
  );
  return (
    <ListFrame
      title={t("title")}
      detail={total === undefined ? undefined : t("count", { n: total })}
      bare={board}
      tools={
        <>
          <LinkButton to="/incident-settings" icon={Settings2}>
            {t("settings")}
          </LinkButton>
          <Segmented
            label={t("view")}
            value={state.view ?? "list"}
            onChange={(view) => change({ view: view === "board" ? "board" : undefined })}
            tabs={[
              { value: "list", label: t("list") },
              { value: "board", label: t("board") },
            ]}
          />
          <Views
            page="incidents"
            search={state}
            ids={ids}
            choose={choose}
            onOpen={(view) => {
              setSelection(NOTHING);
              void navigate({ search: incidentSearch(view), replace: true });
            }}
          />
          <ExportMenu name="incidents" columns={columns} pages={() => allPages(query)} />
          {!board && <ColumnsMenu all={columns} ids={ids} choose={choose} />}
          {write && (
            <Button look="primary" icon={Plus} onClick={() => setCreating(true)}>
              {t("newIncident")}
            </Button>
          )}
        </>
      }
      filters={<Filters state={state} onChange={change} />}
      above={
        !board && (
          <IncidentBulk
            selection={selection}
            rows={list.rows}
            total={total ?? list.rows.length}
            state={state}
            onSelect={setSelection}
          />
        )
      }
    >
      {board ? (
        <Board state={state} />
      ) : (
        <ListGrid
          list={list}
          label={t("title")}
          columns={shown}
          rowId={(incident) => incident.id}
          total={total}
          sort={state.sort ?? "updated"}
          onSort={(sort) => change({ sort })}
          {...(write ? { selection, onSelect: setSelection } : {})}
          onOpen={(incident) => void navigate({ to: "/incidents/$id", params: { id: String(incident.number) } })}
          card={(incident) => <IncidentLine incident={incident} />}
          empty={
            <Empty icon={ShieldCheck} title={t("noneTitle")}>
              {t("noneHint")}
            </Empty>
          }
        />
      )}
      <CreateIncident open={creating} onClose={() => setCreating(false)} />
    </ListFrame>
  );
}
