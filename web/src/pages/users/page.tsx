import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { MailPlus, Plus, UserX } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan, useSession } from "@/app/session";
import { Views } from "@/saved/views";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { ListSearch } from "@/ui/list";
import { PageHeader, Panel } from "@/ui/panel";
import { Empty, Failure, Loading } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { invitationsQuery, type User, userPages, usersQuery } from "./data";
import { CreateUser, Invite, type Link, LinkDialog } from "./invite";
import { Requests } from "./requests";
import { type UsersState, usersSearch } from "./search";
import { UserSheet } from "./sheet";
import { text } from "./strings";

function Avatar({ name }: { name: string }) {
  return (
    <span
      aria-hidden
      className="flex size-6 shrink-0 items-center justify-center rounded-full bg-accent-soft text-2xs font-semibold text-accent"
    >
      {name.slice(0, 2).toUpperCase()}
    </span>
  );
}

function Invitations() {
  const t = useText(text);
  const client = useQueryClient();
  const { act } = useAction();
  const query = useQuery(invitationsQuery);
  if (!query.data || query.data.items.length === 0) return null;
  return (
    <Panel title={t("invitations")} label={t("invitations")} className="mx-3 mb-3 md:mx-6">
      <ul className="m-0 flex list-none flex-col p-0">
        {query.data.items.map((item) => (
          <li
            key={item.id}
            className="flex flex-wrap items-center gap-x-4 gap-y-1 border-t border-line py-1.5 text-sm first:border-0"
          >
            <Badge>{t(item.kind === "invitation" ? "invitation" : "reset")}</Badge>
            <span className="min-w-0 flex-1 truncate max-sm:basis-1/2">{item.email ?? item.name ?? "–"}</span>
            <span className="text-text-3">{item.role}</span>
            <span className="text-text-3">
              <Ago time={item.created} />
            </span>
            <Button
              className="!h-7 max-sm:ml-auto"
              onClick={() =>
                void act(
                  () =>
                    must(api.DELETE("/api/v1/invitations/{id}", { params: { path: { id: item.id } } })).then(
                      () => true,
                    ),
                  t("withdrawn"),
                ).then(() => client.invalidateQueries({ queryKey: ["invitations"] }))
              }
            >
              {t("withdraw")}
            </Button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

export default function UsersPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/users" });
  const navigate = useNavigate({ from: "/users" });
  const manage = useCan("users:manage");
  const session = useSession();
  const list = useInfiniteQuery(usersQuery(state));
  const [shown, setShown] = useState<string | null>(null);
  const [inviting, setInviting] = useState(false);
  const [creating, setCreating] = useState(false);
  const [link, setLink] = useState<Link | null>(null);
  const change = (part: Partial<UsersState>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const columns = useMemo<readonly Column<User>[]>(
    () => [
      {
        id: "name",
        label: t("name"),
        width: 200,
        grow: 2,
        fixed: true,
        sort: "name",
        rises: true,
        cell: (user) => (
          <span className="flex items-center gap-2.5">
            <Avatar name={user.name} />
            <button type="button" className="truncate font-medium hover:text-accent" onClick={() => setShown(user.id)}>
              {user.name}
            </button>
            {session.user === user.id && <Badge tone="accent">{t("you")}</Badge>}
          </span>
        ),
        value: (user) => user.name,
      },
      {
        id: "display_name",
        label: t("displayName"),
        width: 160,
        cell: (user) => user.display_name || "–",
        value: (user) => user.display_name,
      },
      {
        id: "email",
        label: t("email"),
        width: 200,
        hidden: true,
        cell: (user) => user.email ?? "–",
        value: (user) => user.email,
      },
      {
        id: "role",
        label: t("role"),
        width: 110,
        grow: 0,
        sort: "role",
        rises: true,
        cell: (user) => user.role,
        value: (user) => user.role,
      },
      {
        id: "status",
        label: t("status"),
        width: 168,
        grow: 0,
        cell: (user) => (
          <Badge tone={user.status === "active" ? "good" : user.status === "pending" ? "medium" : "neutral"}>
            {t(user.status as "active")}
          </Badge>
        ),
        value: (user) => user.status,
      },
      {
        id: "mfa",
        label: t("second"),
        width: 120,
        grow: 0,
        cell: (user) => <span className={user.mfa ? "text-good" : "text-text-3"}>{t(user.mfa ? "yes" : "no")}</span>,
        value: (user) => user.mfa,
      },
      {
        id: "last_sign_in",
        label: t("lastSignIn"),
        width: 140,
        grow: 0,
        end: true,
        sort: "last_sign_in",
        rises: true,
        cell: (user) => <Ago time={user.last_sign_in} />,
        value: (user) => user.last_sign_in,
      },
      {
        id: "created",
        label: t("created"),
        width: 130,
        grow: 0,
        end: true,
        hidden: true,
        sort: "created",
        rises: true,
        cell: (user) => <Ago time={user.created} />,
        value: (user) => user.created,
      },
    ],
    [t, session.user],
  );
  const { shown: visible, ids, choose } = useColumns("users", columns);
  const { fetchNextPage, hasNextPage } = list;
  const more = useCallback(() => void fetchNextPage(), [fetchNextPage]);
  const total = list.data?.pages[0]?.total;
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={t("title")} detail={total === undefined ? "\u00a0" : t("count", { n: total })}>
        <Views
          page="users"
          search={state}
          ids={ids}
          choose={choose}
          onOpen={(view) => void navigate({ search: usersSearch(view), replace: true })}
        />
        <ExportMenu name="users" columns={columns} pages={() => userPages(state)} />
        <ColumnsMenu all={columns} ids={ids} choose={choose} />
        {manage && (
          <>
            <Button icon={Plus} onClick={() => setCreating(true)}>
              {t("create")}
            </Button>
            <Button look="primary" icon={MailPlus} onClick={() => setInviting(true)}>
              {t("invite")}
            </Button>
          </>
        )}
      </PageHeader>
      <div className="filter-row px-4 pb-3 md:px-6">
        <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
        <Segmented
          label={t("status")}
          value={state.status ?? "all"}
          onChange={(next) => change({ status: next === "all" ? undefined : next })}
          tabs={(["all", "active", "pending", "disabled"] as const).map((value) => ({ value, label: t(value) }))}
        />
      </div>
      {manage && <Requests />}
      {manage && <Invitations />}
      <div className="panel mx-3 mb-3 flex min-h-64 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">
        {list.error && !list.data ? (
          <Failure error={list.error} onRetry={() => void list.refetch()} />
        ) : !list.data ? (
          <Loading />
        ) : (
          <Grid
            label={t("title")}
            columns={visible}
            rows={rows}
            rowId={(user) => user.id}
            total={total}
            onMore={hasNextPage ? more : undefined}
            loadingMore={list.isFetchingNextPage}
            sort={state.sort ?? "name"}
            onSort={(sort) => change({ sort })}
            onOpen={(user) => setShown(user.id)}
            cardHeight={64}
            card={(user) => (
              <span className="flex h-full items-center gap-3">
                <Avatar name={user.name} />
                <span className="min-w-0 flex-1">
                  <button type="button" className="block truncate font-medium" onClick={() => setShown(user.id)}>
                    {user.name}
                  </button>
                  <span className="block truncate text-xs text-text-3">{user.display_name}</span>
                </span>
                <span className="text-xs text-text-2">{user.role}</span>
              </span>
            )}
            empty={<Empty icon={UserX} title={t("noneTitle")} />}
          />
        )}
      </div>
      <UserSheet user={rows.find((user) => user.id === shown)} onClose={() => setShown(null)} onLink={setLink} />
      <CreateUser open={creating} onClose={() => setCreating(false)} />
      <Invite
        open={inviting}
        onClose={() => setInviting(false)}
        onMade={(made) => {
          setInviting(false);
          setLink(made);
        }}
      />
      <LinkDialog link={link} onClose={() => setLink(null)} />
    </div>
  );
}
