import { useQueryClient } from "@tanstack/react-query";
import { BellOff } from "lucide-react";
import { useCallback } from "react";
import type { Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { catalogue } from "@/i18n/text";
import { Button } from "@/ui/button";
import { Empty } from "@/ui/state";
import { markRead, type Notification, unreadQuery } from "./data";
import { NotificationRow } from "./row";

const text = catalogue({
  allRead: ["Mark all as read", "Alle als gelesen markieren"],
  none: ["Nothing here", "Nichts vorhanden"],
  noneHint: [
    "Mentions, assignments, deadlines and the alerts that you chose appear here as they happen.",
    "Erwähnungen, Zuweisungen, Fristen und die gewählten Alarme erscheinen hier sofort.",
  ],
});

/** Marks notifications as read, here and wherever they are shown. */
function useMarkRead(): (which: Schema<"ReadBody">) => Promise<void> {
  const client = useQueryClient();
  const { act } = useAction();
  return useCallback(
    async (which) => {
      const left = await act(() => markRead(which));
      if (left) client.setQueryData(unreadQuery.queryKey, left);
      await client.invalidateQueries({ queryKey: ["notifications"] });
    },
    [client, act],
  );
}

/** Marks everything as read. */
export function AllRead({ quiet }: { quiet?: boolean }) {
  const t = useText(text);
  const read = useMarkRead();
  return (
    <Button look={quiet ? "quiet" : "plain"} onClick={() => void read({ all: true })}>
      {t("allRead")}
    </Button>
  );
}

/** Notifications below one another; what is opened is read. */
export function Notifications({ items, onOpen }: { items: readonly Notification[]; onOpen?: () => void }) {
  const t = useText(text);
  const read = useMarkRead();
  if (items.length === 0) {
    return (
      <Empty icon={BellOff} title={t("none")}>
        {t("noneHint")}
      </Empty>
    );
  }
  return (
    <ul className="m-0 list-none divide-y divide-line p-0">
      {items.map((item) => (
        <li key={item.id}>
          <NotificationRow
            item={item}
            onOpen={() => {
              onOpen?.();
              if (!item.read) void read({ ids: [item.id] });
            }}
          />
        </li>
      ))}
    </ul>
  );
}
