import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Mail, Pencil, Plus, Send, Webhook } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { type Channel, eventName, eventText } from "@/notifications/data";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Dialog } from "@/ui/overlay";
import { Secret } from "@/ui/secret";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { done, failed } from "@/ui/toast";
import { ChannelForm } from "./channel-form";
import { text } from "./strings";
import { TestAlert } from "./test-alert";

export const channelsQuery = {
  queryKey: ["channels"],
  queryFn: () => must(api.GET("/api/v1/notifications/channels")),
};

/** The channels of the tenant: mailboxes and programs that are told what happens. */
export function Channels() {
  const t = useText(text);
  const query = useQuery(channelsQuery);
  const [editing, setEditing] = useState<Channel | "new" | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const own = editing !== null && editing !== "new" ? editing : null;
  const add = (
    <Button look="primary" icon={Plus} onClick={() => setEditing("new")}>
      {t("newChannel")}
    </Button>
  );
  return (
    <div className="flex flex-col gap-4">
      <TestAlert />
      <Loaded query={query}>
        {({ items, mail_ready }) => (
          <>
            {items.length === 0 ? (
              <div className="panel">
                <Empty icon={Send} title={t("noChannels")} action={add}>
                  {t("noChannelsHint")}
                </Empty>
              </div>
            ) : (
              <>
                <div className="flex justify-end">{add}</div>
                <ul className="m-0 grid list-none gap-4 p-0 md:grid-cols-2">
                  {items.map((channel) => (
                    <Card key={channel.id} channel={channel} onEdit={() => setEditing(channel)} />
                  ))}
                </ul>
              </>
            )}
            <Dialog
              open={editing !== null}
              onClose={() => setEditing(null)}
              title={own ? t("edit", { name: own.name }) : t("newChannel")}
              wide
            >
              {editing !== null && (
                <ChannelForm
                  key={own ? `${own.id}-${own.version}` : "new"}
                  channel={own}
                  mailReady={mail_ready}
                  onClose={() => setEditing(null)}
                  onSecret={setSecret}
                />
              )}
            </Dialog>
          </>
        )}
      </Loaded>
      <Dialog
        open={secret !== null}
        onClose={() => setSecret(null)}
        title={t("secretTitle")}
        description={t("secretHint")}
      >
        {secret && <Secret value={secret} label={t("secretTitle")} />}
      </Dialog>
    </div>
  );
}

function Card({ channel, onEdit }: { channel: Channel; onEdit: () => void }) {
  const t = useText(text);
  const e = useText(eventText);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const { health } = channel;
  const Icon = channel.kind === "mail" ? Mail : Webhook;
  const test = async () => {
    const params = { path: { id: channel.id } };
    const delivery = await act(() => must(api.POST("/api/v1/notifications/channels/{id}/test", { params })));
    await client.invalidateQueries({ queryKey: ["channels"] });
    await client.invalidateQueries({ queryKey: ["deliveries"] });
    if (!delivery) return;
    const answer = delivery.answer ?? "–";
    if (delivery.state === "delivered") done(t("testDone", { answer }));
    else failed(new Error(t(delivery.state === "waiting" ? "testWaiting" : "testFailed", { answer })));
  };
  return (
    <li className="panel flex min-w-0 flex-col gap-3 p-4">
      <div className="flex items-start gap-3">
        <span className="flex size-9 shrink-0 items-center justify-center rounded-m bg-accent-soft text-accent">
          <Icon aria-hidden size={18} />
        </span>
        <span className="min-w-0 flex-1">
          <span className="flex items-center gap-2 text-base font-semibold">
            <span className="truncate">{channel.name}</span>
            {!channel.enabled && <Badge>{t("off")}</Badge>}
          </span>
          <span className="mono block truncate text-text-3">
            {channel.kind === "mail" ? channel.to.join(", ") : channel.url}
          </span>
        </span>
        <IconButton label={t("edit", { name: channel.name })} icon={Pencil} onClick={onEdit} />
      </div>
      <div className="flex flex-wrap gap-1.5">
        {channel.events.map((event) => (
          <Badge key={event}>{eventName(event, e)}</Badge>
        ))}
      </div>
      <div className="mt-auto flex flex-wrap items-center gap-x-4 gap-y-1 text-xs text-text-3">
        <span>
          {t("lastDelivered")} <Ago time={health.last_delivered} />
        </span>
        {health.waiting > 0 && <span>{t("waitingCount", { n: health.waiting })}</span>}
        {health.failed_24h > 0 && (
          <span className="text-high" title={health.last_answer ?? undefined}>
            {t("failedCount", { n: health.failed_24h })}
          </span>
        )}
        <Button icon={Send} busy={busy} onClick={() => void test()} className="ml-auto">
          {t("test")}
        </Button>
      </div>
    </li>
  );
}
