import { Popover } from "@base-ui/react/popover";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Bell as BellIcon } from "lucide-react";
import { useState } from "react";
import { catalogue } from "@/i18n/text";
import { useLive } from "@/live/live";
import { latestQuery, unreadQuery } from "@/notifications/data";
import { AllRead, Notifications } from "@/notifications/list";
import { Button } from "@/ui/button";
import { Loaded } from "@/ui/state";
import { useText } from "./preferences";

const text = catalogue({
  bell: ["Notifications", "Benachrichtigungen"],
  unread: ["Notifications, {n} unread", "Benachrichtigungen, {n} ungelesen"],
  all: ["All notifications", "Alle Benachrichtigungen"],
});

const MANY = 99;

/** What there is for oneself: a count that is live, and the newest behind it. */
export function Bell() {
  const t = useText(text);
  const client = useQueryClient();
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const unread = useQuery(unreadQuery);
  const latest = useQuery({ ...latestQuery, enabled: open });
  useLive((message) => {
    if (message.type !== "notification" && message.type !== "notifications_read") return;
    const { unread } = message as { unread?: unknown };
    if (typeof unread === "number") client.setQueryData(unreadQuery.queryKey, { unread });
  });
  if (!unread.data) return null;
  const n = unread.data.unread;
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger
        aria-label={n > 0 ? t("unread", { n }) : t("bell")}
        className="relative flex size-8 shrink-0 items-center justify-center rounded-m text-text-2 hover:bg-hover hover:text-text"
      >
        <BellIcon aria-hidden size={17} />
        {n > 0 && (
          <span className="num absolute -right-1 -top-1 flex h-4 min-w-4 items-center justify-center rounded-full bg-accent px-1 text-[10px] font-semibold leading-none text-accent-ink">
            {n > MANY ? `${MANY}+` : n}
          </span>
        )}
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner sideOffset={8} align="end" className="z-50">
          <Popover.Popup className="pop flex max-h-[min(560px,var(--available-height))] w-[min(400px,calc(100vw-16px))] flex-col overflow-hidden rounded-box border border-line-strong bg-raised shadow-float outline-none">
            <header className="flex items-center justify-between gap-3 border-b border-line py-2 pl-4 pr-2">
              <Popover.Title className="m-0 text-sm font-semibold">{t("bell")}</Popover.Title>
              {n > 0 && <AllRead quiet />}
            </header>
            <div className="min-h-0 flex-1 overflow-y-auto">
              <Loaded query={latest} rows={4}>
                {({ items }) => <Notifications items={items} onOpen={() => setOpen(false)} />}
              </Loaded>
            </div>
            <footer className="border-t border-line p-2">
              <Button
                look="quiet"
                className="w-full"
                onClick={() => {
                  setOpen(false);
                  void navigate({ to: "/notifications" });
                }}
              >
                {t("all")}
              </Button>
            </footer>
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
