import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Group as GroupIcon, Plus, ScrollText } from "lucide-react";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { groupsQuery } from "@/pages/groups/data";
import { Views } from "@/saved/views";
import { Badge } from "@/ui/badge";
import { LinkButton } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { chosenRows } from "@/ui/grid/local";
import { ListFrame, ListSearch } from "@/ui/list";
import { Empty, Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { orderQuery, type Policy, policiesQuery, saidBy } from "./data";
import { Order } from "./order";
import { type PoliciesSearch, policiesSearch } from "./search";
import { text } from "./strings";

function usePolicyColumns(): readonly Column<Policy>[] {
  const t = useText(text);
  const order = useQuery(orderQuery);
  const groups = useQuery(groupsQuery);
  return useMemo<readonly Column<Policy>[]>(() => {
    const holdsFor = (policy: Policy) => {
      const items = order.data?.items.filter((item) => item.policy === policy.id) ?? [];
      const names = items.map((item) =>
        item.group ? (groups.data?.items.find((one) => one.id === item.group)?.name ?? "…") : t("everyHost"),
      );
      return names.join(", ");
    };
    return [
      {
        id: "name",
        label: t("name"),
        width: 160,
        fixed: true,
        sort: "name",
        rises: true,
        cell: (policy) => (
          <Link
            to="/policies/$id"
            params={{ id: policy.id }}
            className="font-medium text-text no-underline hover:text-accent"
          >
            {policy.name}
          </Link>
        ),
        value: (policy) => policy.name,
      },
      {
        id: "version",
        label: t("version"),
        width: 80,
        grow: 0,
        end: true,
        sort: "version",
        cell: (policy) => policy.version,
        value: (policy) => policy.version,
      },
      {
        id: "holds",
        label: t("holdsFor"),
        width: 160,
        cell: (policy) => holdsFor(policy) || <span className="text-text-3">{t("nobody")}</span>,
        value: holdsFor,
      },
      {
        id: "says",
        label: t("says"),
        width: 240,
        grow: 3,
        cell: (policy) =>
          policy.issues.length > 0 ? (
            <Badge tone="critical">{t("issues")}</Badge>
          ) : (
            <span className="mono text-text-3">{saidBy(policy.document).join(", ") || "–"}</span>
          ),
        value: (policy) => saidBy(policy.document).join(" "),
      },
      {
        id: "description",
        label: t("description"),
        width: 160,
        hidden: true,
        cell: (policy) => policy.description || "–",
        value: (policy) => policy.description,
      },
      {
        id: "author",
        label: t("author"),
        width: 120,
        sort: "author",
        rises: true,
        cell: (policy) => policy.author,
        value: (policy) => policy.author,
      },
      {
        id: "updated",
        label: t("updated"),
        width: 120,
        grow: 0,
        end: true,
        sort: "updated",
        cell: (policy) => <Ago time={policy.updated} />,
        value: (policy) => policy.updated,
      },
    ];
  }, [t, order.data, groups.data]);
}

/** What agents are told to do, and which of it holds for whom. */
export default function PoliciesPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/policies" });
  const navigate = useNavigate({ from: "/policies" });
  const write = useCan("policies:write");
  const query = useQuery(policiesQuery);
  const columns = usePolicyColumns();
  const { shown, ids, choose } = useColumns("policies", columns);
  const rows = useMemo(() => chosenRows(query.data?.items ?? [], columns, state), [query.data, columns, state]);
  const change = (part: Partial<PoliciesSearch>) => void navigate({ search: { ...state, ...part }, replace: true });
  const make = (
    <LinkButton look="primary" icon={Plus} to="/policies/$id" params={{ id: "new" }}>
      {t("make")}
    </LinkButton>
  );
  return (
    <ListFrame
      title={t("title")}
      detail={t("lead")}
      tools={
        <>
          <LinkButton to="/groups" icon={GroupIcon}>
            {t("groups")}
          </LinkButton>
          <Views
            page="policies"
            search={state}
            ids={ids}
            choose={choose}
            onOpen={(view) => void navigate({ search: policiesSearch(view), replace: true })}
          />
          <ExportMenu name="policies" columns={columns} pages={() => [rows]} />
          <ColumnsMenu all={columns} ids={ids} choose={choose} />
          {write && make}
        </>
      }
      bare={state.view === "order"}
      filters={
        <>
          <Segmented
            label={t("view")}
            value={state.view ?? "list"}
            onChange={(view) => change({ view: view === "list" ? undefined : view })}
            tabs={[
              { value: "list", label: t("title") },
              { value: "order", label: t("orderShort") },
            ]}
          />
          {state.view !== "order" && <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />}
        </>
      }
    >
      <Loaded query={query}>
        {(data) =>
          state.view === "order" ? (
            <Order policies={data.items} />
          ) : (
            <Grid
              label={t("title")}
              columns={shown}
              rows={rows}
              rowId={(policy) => policy.id}
              sort={state.sort ?? "name"}
              onSort={(sort) => change({ sort })}
              onOpen={(policy) => void navigate({ to: "/policies/$id", params: { id: policy.id } })}
              cardHeight={72}
              card={(policy) => (
                <div className="flex h-full flex-col justify-between text-sm">
                  <div className="flex justify-between gap-3">
                    <span className="truncate font-medium">{policy.name}</span>
                    <span className="num text-text-3">{policy.version}</span>
                  </div>
                  <span className="mono truncate text-xs text-text-3">{saidBy(policy.document).join(", ") || "–"}</span>
                </div>
              )}
              empty={
                data.items.length > 0 ? (
                  <Empty icon={ScrollText} title={t("noneFound")} />
                ) : (
                  <Empty icon={ScrollText} title={t("none")} action={write && make}>
                    {t("noneHint")}
                  </Empty>
                )
              }
            />
          )
        }
      </Loaded>
    </ListFrame>
  );
}
