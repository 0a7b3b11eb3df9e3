import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { BellMinus, PencilLine, Plus, Trash2 } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { type ListState, listSearch } from "@/app/search";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { Views } from "@/saved/views";
import { Button, IconButton } from "@/ui/button";
import { Switch } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { chosenRows } from "@/ui/grid/local";
import { ListFrame, ListSearch } from "@/ui/list";
import { Confirm } from "@/ui/overlay";
import { Empty, Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Ago, At, useNow } from "@/ui/time";
import { type Suppression, SuppressionDialog } from "./form";
import { text } from "./strings";

function Ends({ one }: { one: Suppression }) {
  const t = useText(text);
  const now = useNow();
  if (!one.expires) return <span className="text-text-3">{t("never")}</span>;
  if (Date.parse(one.expires) < now) return <span className="text-medium">{t("expired")}</span>;
  return <At time={one.expires} />;
}

/** What it is about, in one line: the parts that it names. */
function About({ one }: { one: Suppression }) {
  const parts = [one.entity, one.group].filter(Boolean);
  return <span className="mono text-text-2">{parts.length > 0 ? parts.join(" · ") : "–"}</span>;
}

function useSuppressionColumns(
  onEdit: (one: Suppression) => void,
  onRemove: (one: Suppression) => void,
): readonly Column<Suppression>[] {
  const t = useText(text);
  const u = useText(ui);
  const format = useFormat();
  const write = useCan("alerts:suppress");
  const refresh = useFreshen("suppressions");
  const { act } = useAction();
  return useMemo(() => {
    const apply = (one: Suppression, enabled: boolean) => {
      const { id, name, rule_id, entity_kind, entity, group, verdict, reason, expires, version } = one;
      const body = { name, rule_id, entity_kind, entity, group, verdict, reason, expires, enabled, version };
      const params = { path: { id } };
      void act(() => must(api.PATCH("/api/v1/suppressions/{id}", { params, body })), t("saved")).then(refresh);
    };
    return [
      {
        id: "enabled",
        label: t("applies"),
        width: 72,
        grow: 0,
        fixed: true,
        cell: (one) => (
          <Switch
            label={`${t("applies")}: ${one.name}`}
            checked={one.enabled}
            disabled={!write}
            onChange={(enabled) => apply(one, enabled)}
          />
        ),
        value: (one) => one.enabled,
      },
      {
        id: "name",
        sort: "name",
        rises: true,
        label: t("name"),
        width: 220,
        grow: 2,
        fixed: true,
        cell: (one) => <span className="font-medium">{one.name}</span>,
        value: (one) => one.name,
      },
      {
        id: "about",
        label: t("entity"),
        width: 180,
        sort: "entity",
        rises: true,
        cell: (one) => <About one={one} />,
        value: (one) => one.entity,
      },
      {
        id: "reason",
        label: t("reason"),
        width: 220,
        grow: 2,
        cell: (one) => <span className="text-text-2">{one.reason}</span>,
        value: (one) => one.reason,
      },
      {
        id: "verdict",
        sort: "verdict",
        rises: true,
        label: t("verdict"),
        width: 120,
        grow: 0,
        hidden: true,
        cell: (one) => t(one.verdict as "benign"),
        value: (one) => one.verdict,
      },
      {
        id: "expires",
        sort: "expires",
        label: t("expires"),
        width: 170,
        grow: 0,
        cell: (one) => <Ends one={one} />,
        value: (one) => one.expires,
      },
      {
        id: "hits",
        sort: "hits",
        label: t("hits"),
        width: 80,
        grow: 0,
        end: true,
        cell: (one) => format.number(one.hits),
        value: (one) => one.hits,
      },
      {
        id: "last_hit",
        sort: "last_hit",
        label: t("lastHit"),
        width: 130,
        grow: 0,
        end: true,
        cell: (one) => <Ago time={one.last_hit} />,
        value: (one) => one.last_hit,
      },
      {
        id: "author",
        sort: "author",
        rises: true,
        label: t("author"),
        width: 120,
        grow: 0,
        hidden: true,
        cell: (one) => one.author,
        value: (one) => one.author,
      },
      {
        id: "actions",
        label: t("actions"),
        quiet: true,
        width: 88,
        grow: 0,
        fixed: true,
        end: true,
        cell: (one) =>
          write && (
            <span className="inline-flex">
              <IconButton label={`${u("edit")}: ${one.name}`} icon={PencilLine} onClick={() => onEdit(one)} />
              <IconButton label={`${t("remove")}: ${one.name}`} icon={Trash2} onClick={() => onRemove(one)} />
            </span>
          ),
      },
    ] satisfies Column<Suppression>[];
  }, [t, u, format, write, act, refresh, onEdit, onRemove]);
}

export default function SuppressionsPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/suppressions" });
  const navigate = useNavigate({ from: "/suppressions" });
  const write = useCan("alerts:suppress");
  const refresh = useFreshen("suppressions");
  const { act } = useAction();
  const [editing, setEditing] = useState<Suppression | "new" | null>(null);
  const [removing, setRemoving] = useState<Suppression | null>(null);
  const query = useQuery({ queryKey: ["suppressions"], queryFn: () => must(api.GET("/api/v1/suppressions")) });
  const columns = useSuppressionColumns(setEditing, setRemoving);
  const { shown, ids, choose } = useColumns("suppressions", columns);
  const rows = useMemo(() => chosenRows(query.data?.items ?? [], columns, state), [query.data, columns, state]);
  const change = (part: ListState) => void navigate({ search: { ...state, ...part }, replace: true });
  return (
    <ListFrame
      title={t("title")}
      detail={t("lead")}
      tools={
        <>
          <Views
            page="suppressions"
            search={state}
            ids={ids}
            choose={choose}
            onOpen={(view) => void navigate({ search: listSearch(view), replace: true })}
          />
          <ExportMenu name="suppressions" columns={columns} pages={() => [rows]} />
          <ColumnsMenu all={columns} ids={ids} choose={choose} />
          {write && (
            <Button look="primary" icon={Plus} onClick={() => setEditing("new")}>
              {t("add")}
            </Button>
          )}
        </>
      }
      filters={
        <>
          <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
          <Link to="/alerts" search={{ suppressed: "only", status: "all" }} className="text-sm font-medium text-accent">
            {t("seeAlerts")}
          </Link>
        </>
      }
    >
      <Loaded query={query} rows={8}>
        {() => (
          <Grid
            label={t("title")}
            columns={shown}
            rows={rows}
            rowId={(one) => one.id}
            sort={state.sort}
            onSort={(sort) => change({ sort })}
            {...(write ? { onOpen: setEditing } : {})}
            card={(one) => (
              <div className="flex h-full flex-col justify-between">
                <span className="truncate font-medium">{one.name}</span>
                <span className="truncate text-xs text-text-2">{one.reason}</span>
                <span className="num flex justify-between text-xs text-text-3">
                  <span>{`${t("hits")}: ${one.hits}`}</span>
                  <Ends one={one} />
                </span>
              </div>
            )}
            empty={
              <Empty icon={BellMinus} title={t("none")}>
                {t("noneHint")}
              </Empty>
            }
          />
        )}
      </Loaded>
      <SuppressionDialog one={editing} onClose={() => setEditing(null)} />
      <Confirm
        open={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("removeTitle", { name: removing?.name ?? "" })}
        description={t("removeHint")}
        action={t("remove")}
        danger
        onConfirm={async () => {
          if (!removing) return;
          const params = { path: { id: removing.id } };
          await act(() => must(api.DELETE("/api/v1/suppressions/{id}", { params })).then(() => true), t("removed"));
          refresh();
        }}
      />
    </ListFrame>
  );
}
