import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleAlert, CircleCheck, ScrollText } from "lucide-react";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { hostPolicyQuery, type PolicyValue } from "@/pages/policies/data";
import { text } from "@/pages/policies/strings";
import { Badge } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { ListSearch } from "@/ui/list";
import { Empty, Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { TabPanel, TabTools } from "./events";
import type { TabProps } from "./page";

const STATES = { none: "none_state", applied: "applied", pending: "pending", complaint: "complaint" } as const;

function Origin({ value }: { value: PolicyValue }) {
  const t = useText(text);
  if (value.origin === "local") return <Badge tone="medium">{t("fromLocal")}</Badge>;
  if (value.origin !== "policy" || !value.policy) return <span className="text-text-3">{t("fromDefault")}</span>;
  return (
    <span>
      <Link
        to="/policies/$id"
        params={{ id: value.policy }}
        className="font-medium text-accent no-underline hover:underline"
      >
        {t("fromPolicy", { policy: value.policy_name ?? "", version: value.policy_version ?? 0 })}
      </Link>
      <span className="text-text-3"> → {value.group ?? t("everyHost")}</span>
    </span>
  );
}

const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** What a host is told to do: every value, and where it comes from. */
export function HostPolicy({ host, state, onChange }: TabProps) {
  const t = useText(text);
  const query = useQuery(hostPolicyQuery(host.id));
  const columns = useMemo<readonly Column<PolicyValue>[]>(
    () => [
      {
        id: "name",
        label: t("name"),
        width: 200,
        fixed: true,
        cell: (value) => <span className="mono">{value.name}</span>,
        value: (value) => value.name,
      },
      {
        id: "value",
        label: t("value"),
        width: 220,
        grow: 2,
        cell: (value) => (
          <span className="mono" title={shown(value.value)}>
            {shown(value.value)}
          </span>
        ),
        value: (value) => shown(value.value),
      },
      {
        id: "origin",
        label: t("origin"),
        width: 240,
        grow: 2,
        cell: (value) => <Origin value={value} />,
        value: (value) => value.policy_name ?? value.origin,
      },
    ],
    [t],
  );
  const { shown: visible, ids, choose } = useColumns("host-policy", columns);
  const rows = useMemo(() => {
    const wanted = state.q?.toLowerCase() ?? "";
    const all = query.data?.values ?? [];
    return all.filter(
      (value) =>
        (state.only !== "notable" || value.origin !== "default") &&
        `${value.name} ${shown(value.value)}`.toLowerCase().includes(wanted),
    );
  }, [query.data, state.q, state.only]);
  return (
    <Loaded query={query} rows={8}>
      {(policy) => {
        const known = policy.state.state in STATES ? (policy.state.state as keyof typeof STATES) : "none";
        const good = known === "applied" || known === "none";
        return (
          <>
            <div className="mx-3 mt-3 shrink-0 text-sm md:mx-6">
              <div className={`flex items-start gap-2 ${good ? "text-good" : "text-medium"}`}>
                {good ? (
                  <CircleCheck aria-hidden size={16} className="mt-0.5 shrink-0" />
                ) : (
                  <CircleAlert aria-hidden size={16} className="mt-0.5 shrink-0" />
                )}
                <span role="status">
                  {known === "none" ? t("none_state") : t(STATES[known], { version: policy.state.version })}
                </span>
              </div>
              {policy.state.complaints.map((complaint) => (
                <p key={complaint} className="m-0 mt-1 break-words pl-6 text-text-2">
                  {complaint}
                </p>
              ))}
              {policy.matched_groups.length > 0 && (
                <p className="m-0 mt-1 pl-6 text-text-3">
                  {t("matched")}: {policy.matched_groups.join(", ")}
                </p>
              )}
            </div>
            <TabTools
              tools={
                <>
                  <ExportMenu name={`${host.name}-policy`} columns={columns} pages={() => [rows]} />
                  <ColumnsMenu all={columns} ids={ids} choose={choose} />
                </>
              }
            >
              <ListSearch label={t("searchValue")} value={state.q} onSearch={(q) => onChange({ q })} />
              <Segmented
                label={t("show")}
                value={state.only ?? "all"}
                onChange={(next) => onChange({ only: next === "all" ? undefined : next })}
                tabs={[
                  { value: "all", label: t("all") },
                  { value: "notable", label: t("onlySaid") },
                ]}
              />
            </TabTools>
            <TabPanel>
              <Grid
                label={t("state")}
                columns={visible}
                rows={rows}
                rowId={(value) => value.name}
                cardHeight={84}
                card={(value) => (
                  <div className="flex h-full flex-col justify-between text-sm">
                    <span className="mono truncate">{value.name}</span>
                    <span className="mono truncate text-text-2">{shown(value.value)}</span>
                    <span className="truncate text-xs">
                      <Origin value={value} />
                    </span>
                  </div>
                )}
                empty={<Empty icon={ScrollText} title={t("noneFound")} />}
              />
            </TabPanel>
          </>
        );
      }}
    </Loaded>
  );
}
