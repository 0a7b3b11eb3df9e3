import { useQuery } from "@tanstack/react-query";
import { ArrowDown, ArrowUp, Plus, X } from "lucide-react";
import { useState } from "react";
import { api, must, Problem } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { groupsQuery } from "@/pages/groups/data";
import { Button, IconButton } from "@/ui/button";
import { Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { moved, orderQuery, type Policy, type PolicyOrder } from "./data";
import { text } from "./strings";

const EVERY = "\u0000every";

/** Which policies hold for which groups, in order. */
export function Order({ policies }: { policies: readonly Policy[] }) {
  const t = useText(text);
  const query = useQuery(orderQuery);
  return (
    <Panel title={t("order")} label={t("order")} className="mx-3 mb-3 shrink-0 md:mx-6">
      <p className="m-0 mb-2 text-sm text-text-3">{t("orderHint")}</p>
      <Loaded query={query} rows={2}>
        {(order) => <Items policies={policies} order={order} />}
      </Loaded>
    </Panel>
  );
}

function Items({ policies, order }: { policies: readonly Policy[]; order: PolicyOrder }) {
  const t = useText(text);
  const write = useCan("policies:write");
  const { busy, act } = useAction();
  const refresh = useFreshen("policies", "hosts");
  const groups = useQuery(groupsQuery);
  const [policy, setPolicy] = useState<string | null>(null);
  const [group, setGroup] = useState(EVERY);
  const policyName = (id: string) => policies.find((one) => one.id === id)?.name ?? id;
  const groupName = (id: string | null | undefined) =>
    id ? (groups.data?.items.find((one) => one.id === id)?.name ?? id) : t("everyHost");
  const put = async (items: PolicyOrder["items"]) => {
    await act(async () => {
      try {
        return await must(api.PUT("/api/v1/policy-order", { body: { version: order.version, items } }));
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") throw new Error(t("orderConflict"));
        throw error;
      }
    }, t("orderSaved"));
    refresh();
  };
  const chosen = policy ?? policies[0]?.id ?? "";
  return (
    <div className="flex flex-col gap-2">
      {order.items.length === 0 ? (
        <p className="m-0 text-sm text-text-2">{t("orderNone")}</p>
      ) : (
        <ol className="m-0 list-none p-0">
          {order.items.map((item, index) => {
            const name = policyName(item.policy);
            return (
              <li
                key={`${item.policy}-${item.group ?? ""}`}
                className="flex items-center gap-3 border-t border-line py-1 text-sm first:border-0"
              >
                <span className="num w-5 shrink-0 text-right text-text-3">{index + 1}</span>
                <span className="min-w-0 flex-1 truncate">
                  <span className="font-medium">{name}</span>
                  <span className="text-text-3"> → {groupName(item.group)}</span>
                </span>
                {write && (
                  <span className="flex shrink-0">
                    <IconButton
                      label={t("up", { name })}
                      icon={ArrowUp}
                      disabled={busy || index === 0}
                      onClick={() => void put(moved(order.items, index, -1))}
                    />
                    <IconButton
                      label={t("down", { name })}
                      icon={ArrowDown}
                      disabled={busy || index === order.items.length - 1}
                      onClick={() => void put(moved(order.items, index, 1))}
                    />
                    <IconButton
                      label={t("unassign", { name })}
                      icon={X}
                      disabled={busy}
                      onClick={() => void put(order.items.filter((other) => other !== item))}
                    />
                  </span>
                )}
              </li>
            );
          })}
        </ol>
      )}
      {write && policies.length > 0 && (
        <div className="flex flex-wrap items-center gap-2 border-t border-line pt-3">
          <Select
            label={t("policy")}
            value={chosen}
            onChange={setPolicy}
            options={policies.map((one) => ({ value: one.id, label: one.name }))}
          />
          <span aria-hidden className="text-text-3">
            →
          </span>
          <Select
            label={t("group")}
            value={group}
            onChange={setGroup}
            options={[
              { value: EVERY, label: t("everyHost") },
              ...(groups.data?.items ?? []).map((one) => ({ value: one.id, label: one.name })),
            ]}
          />
          <Button
            icon={Plus}
            busy={busy}
            onClick={() =>
              void put([...order.items, { policy: chosen, ...(group === EVERY ? { group: null } : { group }) }])
            }
          >
            {t("assign")}
          </Button>
        </div>
      )}
    </div>
  );
}
