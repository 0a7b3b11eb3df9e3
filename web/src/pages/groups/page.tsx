import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { CircleAlert, Group as GroupIcon, Plus, ScrollText } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { type ListState, listSearch } from "@/app/search";
import { useCan } from "@/app/session";
import { Views } from "@/saved/views";
import { Button, LinkButton } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { chosenRows } from "@/ui/grid/local";
import { ListFrame, ListSearch } from "@/ui/list";
import { Confirm } from "@/ui/overlay";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { type Group, groupsQuery } from "./data";
import { GroupForm } from "./form";
import { text } from "./strings";

function useGroupColumns(onDelete: ((group: Group) => void) | null): readonly Column<Group>[] {
  const t = useText(text);
  return useMemo<readonly Column<Group>[]>(
    () => [
      {
        id: "name",
        label: t("name"),
        width: 150,
        fixed: true,
        sort: "name",
        rises: true,
        cell: (group) => <span className="font-medium">{group.name}</span>,
        value: (group) => group.name,
      },
      {
        id: "filter",
        label: t("filter"),
        width: 260,
        grow: 3,
        sort: "filter",
        rises: true,
        cell: (group) =>
          group.filter ? (
            <span className="flex items-center gap-2">
              {group.issue && <CircleAlert size={14} className="shrink-0 text-critical" aria-label={group.issue} />}
              <span className="mono truncate">{group.filter}</span>
            </span>
          ) : (
            <span className="text-text-3">{t("byName")}</span>
          ),
        value: (group) => group.filter,
      },
      {
        id: "hosts",
        label: t("hosts"),
        width: 84,
        grow: 0,
        end: true,
        sort: "hosts",
        cell: (group) => (
          <Link to="/hosts" search={{ group: group.name }} className="text-accent no-underline hover:underline">
            {group.hosts}
          </Link>
        ),
        value: (group) => group.hosts,
      },
      {
        id: "description",
        label: t("description"),
        width: 180,
        grow: 2,
        cell: (group) => <span className="text-text-2">{group.description || "–"}</span>,
        value: (group) => group.description,
      },
      {
        id: "author",
        label: t("author"),
        width: 110,
        hidden: true,
        sort: "author",
        rises: true,
        cell: (group) => group.author,
        value: (group) => group.author,
      },
      {
        id: "updated",
        label: t("updated"),
        width: 120,
        grow: 0,
        end: true,
        sort: "updated",
        cell: (group) => <Ago time={group.updated} />,
        value: (group) => group.updated,
      },
      ...(onDelete
        ? [
            {
              id: "actions",
              label: t("delete"),
              quiet: true,
              width: 108,
              grow: 0,
              end: true,
              cell: (group: Group) => (
                <Button look="quiet" className="!h-7" onClick={() => onDelete(group)}>
                  {t("delete")}
                </Button>
              ),
            },
          ]
        : []),
    ],
    [t, onDelete],
  );
}

/** Groups of hosts, which policies are assigned to. */
export default function GroupsPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/groups" });
  const navigate = useNavigate({ from: "/groups" });
  const write = useCan("policies:write");
  const seesPolicies = useCan("policies:read");
  const { act } = useAction();
  const refresh = useFreshen("host-groups", "hosts");
  const query = useQuery(groupsQuery);
  const [editing, setEditing] = useState<Group | "new" | null>(null);
  const [deleting, setDeleting] = useState<Group | null>(null);
  const columns = useGroupColumns(write ? setDeleting : null);
  const { shown, ids, choose } = useColumns("host-groups", columns);
  const rows = useMemo(() => chosenRows(query.data?.items ?? [], columns, state), [query.data, columns, state]);
  const change = (part: ListState) => void navigate({ search: { ...state, ...part }, replace: true });
  return (
    <>
      <ListFrame
        title={t("title")}
        detail={t("lead")}
        tools={
          <>
            {seesPolicies && (
              <LinkButton to="/policies" icon={ScrollText}>
                {t("policies")}
              </LinkButton>
            )}
            <Views
              page="host-groups"
              search={state}
              ids={ids}
              choose={choose}
              onOpen={(view) => void navigate({ search: listSearch(view), replace: true })}
            />
            <ExportMenu name="host-groups" columns={columns} pages={() => [rows]} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
            {write && (
              <Button look="primary" icon={Plus} onClick={() => setEditing("new")}>
                {t("make")}
              </Button>
            )}
          </>
        }
        filters={<ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />}
      >
        <Loaded query={query}>
          {(data) => (
            <Grid
              label={t("title")}
              columns={shown}
              rows={rows}
              rowId={(group) => group.id}
              sort={state.sort ?? "name"}
              onSort={(sort) => change({ sort })}
              {...(write ? { onOpen: (group: Group) => setEditing(group) } : {})}
              cardHeight={72}
              card={(group) => (
                <div className="flex h-full flex-col justify-between text-sm">
                  <div className="flex justify-between gap-3">
                    <span className="truncate font-medium">{group.name}</span>
                    <Link to="/hosts" search={{ group: group.name }} className="num text-accent no-underline">
                      {group.hosts}
                    </Link>
                  </div>
                  <span className="mono truncate text-xs text-text-3">{group.filter ?? t("byName")}</span>
                </div>
              )}
              empty={
                data.items.length > 0 ? (
                  <Empty icon={GroupIcon} title={t("noneFound")} />
                ) : (
                  <Empty
                    icon={GroupIcon}
                    title={t("none")}
                    action={
                      write && (
                        <Button look="primary" icon={Plus} onClick={() => setEditing("new")}>
                          {t("make")}
                        </Button>
                      )
                    }
                  >
                    {t("noneHint")}
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </ListFrame>
      {editing && <GroupForm of={editing === "new" ? null : editing} onClose={() => setEditing(null)} />}
      <Confirm
        open={deleting !== null}
        onClose={() => setDeleting(null)}
        title={t("deleteTitle", { name: deleting?.name ?? "" })}
        description={t("deleteHint")}
        action={t("deleteAction")}
        danger
        onConfirm={async () => {
          if (!deleting) return;
          const params = { path: { id: deleting.id } };
          await act(() => must(api.DELETE("/api/v1/host-groups/{id}", { params })).then(() => true), t("deleted"));
          refresh();
        }}
      />
    </>
  );
}
