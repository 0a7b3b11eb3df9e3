import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { BellOff } from "lucide-react";
import { useState } from "react";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { inboxQuery, markRead, unreadQuery } from "@/notifications/data";
import { NotificationRow } from "@/notifications/row";
import { Button } from "@/ui/button";
import { Empty, Failure, Loading } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { text } from "./strings";

export function Inbox() {
  const t = useText(text);
  const client = useQueryClient();
  const { act } = useAction();
  const [only, setOnly] = useState<"all" | "unread">("all");
  const list = useInfiniteQuery(inboxQuery(only === "unread"));
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const unread = list.data?.pages[0]?.unread ?? 0;
  const read = async (which: { ids: string[] } | { all: true }) => {
    const left = await act(() => markRead(which));
    if (left) client.setQueryData(unreadQuery.queryKey, left);
    await client.invalidateQueries({ queryKey: ["notifications"] });
  };
  return (
    <section aria-label={t("inbox")} className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <Segmented
          label={t("inbox")}
          value={only}
          onChange={setOnly}
          tabs={[
            { value: "all", label: t("all") },
            { value: "unread", label: t("unread"), count: unread },
          ]}
        />
        {unread > 0 && <Button onClick={() => void read({ all: true })}>{t("allRead")}</Button>}
      </div>
      <div className="panel overflow-hidden">
        {list.error && !list.data ? (
          <Failure error={list.error} onRetry={() => void list.refetch()} />
        ) : !list.data ? (
          <Loading />
        ) : items.length === 0 ? (
          <Empty icon={BellOff} title={t("none")}>
            {t("noneHint")}
          </Empty>
        ) : (
          <ul className="m-0 list-none divide-y divide-line p-0">
            {items.map((item) => (
              <li key={item.id}>
                <NotificationRow item={item} onOpen={() => !item.read && void read({ ids: [item.id] })} />
              </li>
            ))}
          </ul>
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
