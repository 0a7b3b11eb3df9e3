import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { inboxQuery } from "@/notifications/data";
import { AllRead, Notifications } from "@/notifications/list";
import { Button } from "@/ui/button";
import { Failure, Loading } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { text } from "./strings";

export function Inbox() {
  const t = useText(text);
  const [only, setOnly] = useState<"all" | "unread">("all");
  const list = useInfiniteQuery(inboxQuery(only === "unread"));
  const items = list.data?.pages.flatMap((page) => page.items) ?? [];
  const unread = list.data?.pages[0]?.unread ?? 0;
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
        {unread > 0 && <AllRead />}
      </div>
      <div className="panel overflow-hidden">
        {list.error && !list.data ? (
          <Failure error={list.error} onRetry={() => void list.refetch()} />
        ) : !list.data ? (
          <Loading />
        ) : (
          <Notifications items={items} />
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
