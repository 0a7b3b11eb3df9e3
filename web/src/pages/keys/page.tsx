import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { KeyRound, Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { type ListState, listSearch } from "@/app/search";
import { Views } from "@/saved/views";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { chosenRows } from "@/ui/grid/local";
import { ListFrame, ListSearch } from "@/ui/list";
import { Confirm, Dialog } from "@/ui/overlay";
import { Secret } from "@/ui/secret";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { type Key, KeyForm } from "./form";
import { text } from "./strings";

const keysQuery = { queryKey: ["keys"], queryFn: () => must(api.GET("/api/v1/api-keys")) };
export default function KeysPage() {
  const t = useText(text);
  const client = useQueryClient();
  const { act } = useAction();
  const state = useSearch({ from: "/inside/keys" });
  const navigate = useNavigate({ from: "/keys" });
  const query = useQuery(keysQuery);
  const [making, setMaking] = useState(false);
  const [editing, setEditing] = useState<Key | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const columns = useMemo<readonly Column<Key>[]>(
    () => [
      {
        id: "name",
        sort: "name",
        rises: true,
        label: t("name"),
        width: 200,
        grow: 2,
        cell: (key) => (
          <span>
            <span className="font-medium">{key.name}</span> <span className="mono text-text-3">{key.public_id}</span>
          </span>
        ),
        value: (key) => key.name,
      },
      {
        id: "status",
        sort: "status",
        rises: true,
        label: t("status"),
        width: 110,
        grow: 0,
        cell: (key) => <Badge tone={key.status === "active" ? "good" : "neutral"}>{t(key.status as "active")}</Badge>,
        value: (key) => key.status,
      },
      {
        id: "user",
        label: t("owner"),
        width: 130,
        sort: "user",
        rises: true,
        cell: (key) => key.user_name ?? "–",
        value: (key) => key.user_name,
      },
      {
        id: "permissions",
        label: t("scope"),
        width: 140,
        grow: 0,
        cell: (key) => (
          <span title={key.permissions.join(", ")}>{t("permissionCount", { n: key.permissions.length })}</span>
        ),
        value: (key) => key.permissions.join(" "),
      },
      {
        id: "expires",
        sort: "expires",
        label: t("expires"),
        width: 120,
        grow: 0,
        end: true,
        cell: (key) => <Ago time={key.expires} />,
        value: (key) => key.expires,
      },
      {
        id: "last_used",
        sort: "last_used",
        label: t("used"),
        width: 130,
        grow: 0,
        end: true,
        cell: (key) => <Ago time={key.last_used} />,
        value: (key) => key.last_used,
      },
      {
        id: "actions",
        label: t("actions"),
        quiet: true,
        width: 190,
        grow: 0,
        end: true,
        // What expired may be given more time; what was revoked stays so.
        cell: (key) =>
          key.status !== "revoked" && (
            <>
              <Button look="quiet" className="!h-7" onClick={() => setEditing(key)}>
                {t("edit")}
              </Button>
              {key.status === "active" && (
                <Button look="quiet" className="!h-7" onClick={() => setRevoking(key)}>
                  {t("revoke")}
                </Button>
              )}
            </>
          ),
      },
    ],
    [t],
  );
  const { shown, ids, choose } = useColumns("keys", columns);
  const rows = useMemo(() => chosenRows(query.data?.items ?? [], columns, state), [query.data, columns, state]);
  const change = (part: ListState) => void navigate({ search: { ...state, ...part }, replace: true });
  return (
    <>
      <ListFrame
        title={t("title")}
        detail={t("lead")}
        tools={
          <>
            <Views
              page="keys"
              search={state}
              ids={ids}
              choose={choose}
              onOpen={(view) => void navigate({ search: listSearch(view), replace: true })}
            />
            <ExportMenu name="api-keys" columns={columns} pages={() => [rows]} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
            <Button look="primary" icon={Plus} onClick={() => setMaking(true)}>
              {t("newKey")}
            </Button>
          </>
        }
        filters={<ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />}
      >
        <Loaded query={query}>
          {() => (
            <Grid
              label={t("title")}
              columns={shown}
              rows={rows}
              rowId={(key) => key.id}
              sort={state.sort}
              onSort={(sort) => change({ sort })}
              cardHeight={92}
              card={(key) => (
                <div className="flex h-full flex-col justify-between text-sm">
                  <div className="flex items-center justify-between gap-3">
                    <span className="truncate font-medium">{key.name}</span>
                    <Badge tone={key.status === "active" ? "good" : "neutral"}>{t(key.status as "active")}</Badge>
                  </div>
                  <div className="flex items-center justify-between gap-3 text-xs text-text-3">
                    <span className="min-w-0 truncate">
                      <span className="mono">{key.public_id}</span> · {key.user_name ?? "–"}
                    </span>
                    <span className="shrink-0">
                      {t("expires")} <Ago time={key.expires} />
                    </span>
                  </div>
                  <div className="flex items-center justify-between text-xs text-text-3">
                    {t("permissionCount", { n: key.permissions.length })}
                    {key.status === "active" && (
                      <button type="button" className="font-medium text-text" onClick={() => setRevoking(key)}>
                        {t("revoke")}
                      </button>
                    )}
                  </div>
                </div>
              )}
              empty={
                state.q ? (
                  <Empty icon={KeyRound} title={t("noneFound")} />
                ) : (
                  <Empty icon={KeyRound} title={t("none")}>
                    {t("noneHint")}
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </ListFrame>
      <Dialog open={making} onClose={() => setMaking(false)} title={t("newKey")} wide>
        {making && (
          <KeyForm
            onDone={(made) => {
              setMaking(false);
              setSecret(made);
            }}
          />
        )}
      </Dialog>
      <Dialog
        open={editing !== null}
        onClose={() => setEditing(null)}
        title={t("editTitle", { name: editing?.name ?? "" })}
        wide
      >
        {editing && <KeyForm of={editing} onDone={() => setEditing(null)} />}
      </Dialog>
      <Dialog
        open={secret !== null}
        onClose={() => setSecret(null)}
        title={t("secretTitle")}
        description={t("secretHint")}
      >
        {secret && <Secret value={secret} label={t("secretTitle")} />}
      </Dialog>
      <Confirm
        open={revoking !== null}
        onClose={() => setRevoking(null)}
        title={t("revokeTitle", { name: revoking?.name ?? "" })}
        description={t("revokeHint")}
        action={t("revoke")}
        danger
        onConfirm={async () => {
          if (!revoking) return;
          await act(
            () => must(api.DELETE("/api/v1/api-keys/{id}", { params: { path: { id: revoking.id } } })),
            t("revokedDone"),
          );
          void client.invalidateQueries({ queryKey: ["keys"] });
        }}
      />
    </>
  );
}
