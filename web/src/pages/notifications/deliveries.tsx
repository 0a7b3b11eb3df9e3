import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { RotateCw, Send } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import type { Delivery } from "@/notifications/data";
import { Badge, type Tone } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Empty, Failure, Loading } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { Ago } from "@/ui/time";
import { text } from "./strings";

type State = "waiting" | "delivered" | "failed";
type Shown = "all" | State;

const TONES: Record<State, Tone> = { waiting: "medium", delivered: "good", failed: "critical" };
/** Deliveries are not on the live stream. */
const REFRESH_MS = 5_000;

function deliveriesQuery(state: Shown) {
  return {
    queryKey: ["deliveries", state],
    queryFn: ({ pageParam }: { pageParam: string | null }) => {
      const query = { limit: 50, ...(pageParam ? { cursor: pageParam } : state === "all" ? {} : { state }) };
      return must(api.GET("/api/v1/notifications/deliveries", { params: { query } }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page: Schema<"DeliveryList">) => page.next_cursor ?? null,
    refetchInterval: REFRESH_MS,
  };
}

function StateBadge({ item }: { item: Delivery }) {
  const t = useText(text);
  const state = item.state as State;
  return <Badge tone={TONES[state] ?? "neutral"}>{state in TONES ? t(state) : item.state}</Badge>;
}

/** A delivery where there is no room for columns. */
function Card({ item, onRetry }: { item: Delivery; onRetry: () => void }) {
  const t = useText(text);
  return (
    <li className="flex flex-col gap-1 px-4 py-3 text-sm">
      <div className="flex items-center gap-2">
        <StateBadge item={item} />
        {item.test && <Badge>{t("test")}</Badge>}
        <span className="ml-auto text-xs text-text-3">
          <Ago time={item.created} />
        </span>
        {item.state !== "delivered" && (
          <IconButton label={t("retry")} icon={RotateCw} className="-my-1.5 -mr-2" onClick={onRetry} />
        )}
      </div>
      <span className="break-words font-medium">{item.title}</span>
      <span className="mono truncate text-text-2">{item.target}</span>
      {item.answer && <span className="line-clamp-3 break-words text-xs text-text-2">{item.answer}</span>}
      <span className="num text-xs text-text-3">
        {t("attempts")}: {item.attempts}
        {item.next_attempt && (
          <>
            {" · "}
            {t("next")} <Ago time={item.next_attempt} />
          </>
        )}
      </span>
    </li>
  );
}

/** What was sent, where to, and what came back. */
export function Deliveries() {
  const t = useText(text);
  const client = useQueryClient();
  const { act } = useAction();
  const [state, setState] = useState<Shown>("all");
  const list = useInfiniteQuery(deliveriesQuery(state));
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const retry = (id: string) =>
    act(() => must(api.POST("/api/v1/notifications/deliveries/{id}/retry", { params: { path: { id } } }))).then(() =>
      client.invalidateQueries({ queryKey: ["deliveries"] }),
    );
  const head = "px-3 py-2 text-left text-xs font-medium text-text-3";
  const cell = "px-3 py-2 align-top";
  return (
    <section aria-label={t("log")} className="flex flex-col gap-3">
      <Segmented
        label={t("state")}
        value={state}
        onChange={setState}
        tabs={(["all", "waiting", "delivered", "failed"] as const).map((value) => ({ value, label: t(value) }))}
      />
      <div className="panel relative overflow-x-auto">
        {list.error && !list.data ? (
          <Failure error={list.error} onRetry={() => void list.refetch()} />
        ) : !list.data ? (
          <Loading />
        ) : items.length === 0 ? (
          <Empty icon={Send} title={t("noDeliveries")} />
        ) : (
          <>
            <ul aria-label={t("log")} className="m-0 list-none divide-y divide-line p-0 md:hidden">
              {items.map((item) => (
                <Card key={item.id} item={item} onRetry={() => void retry(item.id)} />
              ))}
            </ul>
            <table className="w-full border-collapse text-sm max-md:hidden">
              <thead>
                <tr className="border-b border-line">
                  <th className={head}>{t("time")}</th>
                  <th className={head}>{t("what")}</th>
                  <th className={head}>{t("where")}</th>
                  <th className={head}>{t("state")}</th>
                  <th className={head}>{t("answer")}</th>
                  <th className={head}>
                    <span className="sr-only">{t("retry")}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {items.map((item) => (
                  <tr key={item.id} className="border-b border-line last:border-0">
                    <td className={cell}>
                      <Ago time={item.created} />
                    </td>
                    <td className={cell}>
                      <span className="flex max-w-72 items-center gap-2">
                        <span className="min-w-0 break-words">{item.title}</span>
                        {item.test && <Badge>{t("test")}</Badge>}
                      </span>
                    </td>
                    <td className={cell}>
                      <span className="mono block max-w-56 break-all text-text-2">{item.target}</span>
                    </td>
                    <td className={cell}>
                      <StateBadge item={item} />
                      <span className="num mt-1 block whitespace-nowrap text-xs text-text-3">
                        {t("attempts")}: {item.attempts}
                      </span>
                    </td>
                    <td className={cell}>
                      <span
                        title={item.answer ?? undefined}
                        className="line-clamp-3 max-w-64 break-words text-xs text-text-2"
                      >
                        {item.answer ?? "–"}
                      </span>
                      {item.next_attempt && (
                        <span className="block text-xs text-text-3">
                          {t("next")} <Ago time={item.next_attempt} />
                        </span>
                      )}
                    </td>
                    <td className={cell}>
                      {item.state !== "delivered" && (
                        <IconButton label={t("retry")} icon={RotateCw} onClick={() => void retry(item.id)} />
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </>
        )}
      </div>
      {list.hasNextPage && (
        <Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()} className="self-center">
          {t("more")}
        </Button>
      )}
    </section>
  );
}
