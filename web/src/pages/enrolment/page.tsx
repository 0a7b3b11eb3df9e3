import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { KeySquare, MonitorSmartphone, Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { Labels } from "@/pages/hosts/parts";
import { Views } from "@/saved/views";
import { Badge } from "@/ui/badge";
import { Button, LinkButton } from "@/ui/button";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { chosenRows } from "@/ui/grid/local";
import { ListFrame, ListSearch } from "@/ui/list";
import { Confirm } from "@/ui/overlay";
import { Empty, Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { type Token, tokensQuery } from "./data";
import { Enrol } from "./enrol";
import { type EnrolmentSearch, enrolmentSearch, TOKEN_STATES } from "./search";
import { text } from "./strings";

function TokenStatus({ token }: { token: Token }) {
  const t = useText(text);
  return <Badge tone={token.status === "active" ? "good" : "neutral"}>{t(token.status as "active")}</Badge>;
}

function Uses({ token }: { token: Token }) {
  const t = useText(text);
  const { uses, uses_max: max } = token;
  return max === null || max === undefined ? t("usesAny", { n: uses }) : t("usesOf", { n: uses, max });
}

function useTokenColumns(onRevoke: (token: Token) => void): readonly Column<Token>[] {
  const t = useText(text);
  return useMemo<readonly Column<Token>[]>(
    () => [
      {
        id: "name",
        label: t("name"),
        width: 160,
        grow: 2,
        fixed: true,
        sort: "name",
        rises: true,
        cell: (token) => (
          <span>
            <span className="font-medium">{token.name}</span>{" "}
            <span className="mono text-text-3">{token.public_id.slice(0, 8)}</span>
          </span>
        ),
        value: (token) => token.name,
      },
      {
        id: "status",
        label: t("status"),
        width: 112,
        grow: 0,
        sort: "status",
        rises: true,
        cell: (token) => <TokenStatus token={token} />,
        value: (token) => token.status,
      },
      {
        id: "uses",
        label: t("uses"),
        width: 136,
        grow: 0,
        sort: "uses",
        cell: (token) => (
          <span className="num">
            <Uses token={token} />
          </span>
        ),
        value: (token) => token.uses,
      },
      {
        id: "tags",
        label: t("tags"),
        width: 100,
        cell: (token) => <Labels labels={token.tags} by="tag" />,
        value: (token) => token.tags.join(" "),
      },
      {
        id: "groups",
        label: t("groups"),
        width: 100,
        cell: (token) => <Labels labels={token.groups} by="group" />,
        value: (token) => token.groups.join(" "),
      },
      {
        id: "author",
        label: t("author"),
        width: 100,
        sort: "author",
        rises: true,
        cell: (token) => token.author,
        value: (token) => token.author,
      },
      {
        id: "created",
        label: t("created"),
        width: 104,
        grow: 0,
        end: true,
        sort: "created",
        cell: (token) => <Ago time={token.created} />,
        value: (token) => token.created,
      },
      {
        id: "last_used",
        label: t("lastUsed"),
        width: 130,
        grow: 0,
        end: true,
        sort: "last_used",
        hidden: true,
        cell: (token) => <Ago time={token.last_used} />,
        value: (token) => token.last_used,
      },
      {
        id: "expires",
        label: t("expires"),
        width: 104,
        grow: 0,
        end: true,
        sort: "expires",
        cell: (token) => <Ago time={token.expires} />,
        value: (token) => token.expires,
      },
      {
        id: "actions",
        label: t("actions"),
        quiet: true,
        width: 112,
        grow: 0,
        end: true,
        cell: (token) =>
          token.status === "active" && (
            <Button look="quiet" className="!h-7" onClick={() => onRevoke(token)}>
              {t("revoke")}
            </Button>
          ),
      },
    ],
    [t, onRevoke],
  );
}

/** What lets machines in. */
export default function EnrolmentPage() {
  const t = useText(text);
  const { act } = useAction();
  const refresh = useFreshen("enrolment-tokens");
  const state = useSearch({ from: "/inside/enrolment" });
  const navigate = useNavigate({ from: "/enrolment" });
  const query = useQuery(tokensQuery);
  const [enrolling, setEnrolling] = useState(false);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const columns = useTokenColumns(setRevoking);
  const { shown, ids, choose } = useColumns("enrolment", columns);
  const rows = useMemo(() => {
    const all = query.data?.items ?? [];
    return chosenRows(state.status ? all.filter(({ status }) => status === state.status) : all, columns, state);
  }, [query.data, columns, state]);
  const change = (part: Partial<EnrolmentSearch>) => void navigate({ search: { ...state, ...part }, replace: true });
  return (
    <>
      <ListFrame
        title={t("title")}
        detail={t("lead")}
        tools={
          <>
            <LinkButton to="/hosts" icon={MonitorSmartphone}>
              {t("hosts")}
            </LinkButton>
            <Views
              page="enrolment"
              search={state}
              ids={ids}
              choose={choose}
              onOpen={(view) => void navigate({ search: enrolmentSearch(view), replace: true })}
            />
            <ExportMenu name="enrolment-tokens" columns={columns} pages={() => [rows]} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
            <Button look="primary" icon={Plus} onClick={() => setEnrolling(true)}>
              {t("enrol")}
            </Button>
          </>
        }
        filters={
          <>
            <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
            <Segmented
              label={t("status")}
              value={state.status ?? "all"}
              onChange={(next) => change({ status: next === "all" ? undefined : next })}
              tabs={(["all", ...TOKEN_STATES] as const).map((value) => ({ value, label: t(value) }))}
            />
          </>
        }
      >
        <Loaded query={query}>
          {(data) => (
            <Grid
              label={t("title")}
              columns={shown}
              rows={rows}
              rowId={(token) => token.id}
              sort={state.sort ?? "created"}
              onSort={(sort) => change({ sort })}
              cardHeight={92}
              card={(token) => (
                <div className="flex h-full flex-col justify-between text-sm">
                  <div className="flex items-center justify-between gap-3">
                    <span className="truncate font-medium">{token.name}</span>
                    <TokenStatus token={token} />
                  </div>
                  <div className="flex items-center justify-between gap-3 text-xs text-text-3">
                    <span className="num">
                      {t("uses")}: <Uses token={token} />
                    </span>
                    <span>
                      {t("expires")} <Ago time={token.expires} />
                    </span>
                  </div>
                  <div className="flex items-center justify-between gap-3 text-xs text-text-3">
                    <Labels labels={[...token.groups, ...token.tags]} by="tag" />
                    {token.status === "active" && (
                      <button type="button" className="font-medium text-text" onClick={() => setRevoking(token)}>
                        {t("revoke")}
                      </button>
                    )}
                  </div>
                </div>
              )}
              empty={
                data.items.length > 0 ? (
                  <Empty icon={KeySquare} title={t("noneFound")} />
                ) : (
                  <Empty
                    icon={KeySquare}
                    title={t("none")}
                    action={
                      <Button look="primary" icon={Plus} onClick={() => setEnrolling(true)}>
                        {t("enrol")}
                      </Button>
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
      <Enrol open={enrolling} onClose={() => setEnrolling(false)} />
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
            () =>
              must(api.DELETE("/api/v1/enrollment-tokens/{id}", { params: { path: { id: revoking.id } } })).then(
                () => true,
              ),
            t("revokedDone"),
          );
          refresh();
        }}
      />
    </>
  );
}
