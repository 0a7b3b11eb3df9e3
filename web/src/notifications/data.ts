/** Notifications: their shapes and queries, for the bell and for the page. */
import { api, must, type Schema } from "@/api/client";
import { catalogue, type Translate } from "@/i18n/text";

export const EVENTS = [
  "mention",
  "assignment",
  "watching",
  "sla_warning",
  "sla_breach",
  "alert",
  "incident",
  "exporter_silent",
  "health",
] as const;
export type EventName = (typeof EVENTS)[number];

export type Notification = Schema<"NotificationView">;
export type NotificationPreferences = Schema<"NotifyPreferencesView">;
export type Wish = Schema<"WishView">;
export type Channel = Schema<"ChannelView">;
export type Delivery = Schema<"DeliveryView">;

export const unreadQuery = {
  queryKey: ["notifications", "unread"],
  queryFn: () => must(api.GET("/api/v1/notifications/unread")),
  retry: false,
};

export const latestQuery = {
  queryKey: ["notifications", "latest"],
  queryFn: () => must(api.GET("/api/v1/notifications", { params: { query: { limit: 8 } } })),
};

export function inboxQuery(unread: boolean) {
  return {
    queryKey: ["notifications", "list", unread],
    queryFn: ({ pageParam }: { pageParam: string | null }) => {
      const query = { limit: 50, ...(pageParam ? { cursor: pageParam } : unread ? { unread } : {}) };
      return must(api.GET("/api/v1/notifications", { params: { query } }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page: Schema<"NotificationList">) => page.next_cursor ?? null,
  };
}

export function markRead(which: Schema<"ReadBody">): Promise<Schema<"Unread">> {
  return must(api.POST("/api/v1/notifications/read", { body: which }));
}

/** The events, as people call them. */
export const eventText = catalogue({
  mention: ["Somebody mentions you", "Jemand erwähnt Sie"],
  assignment: ["Something is assigned to you", "Ihnen wird etwas zugewiesen"],
  watching: ["What you watch changes", "Beobachtetes ändert sich"],
  sla_warning: ["A deadline is near", "Eine Frist läuft bald ab"],
  sla_breach: ["A deadline is missed", "Eine Frist ist überschritten"],
  alert: ["New alerts", "Neue Alarme"],
  incident: ["New incidents", "Neue Vorfälle"],
  exporter_silent: ["An exporter falls silent", "Ein Exporter verstummt"],
  health: ["Guardian needs attention", "Guardian braucht Aufmerksamkeit"],
  test: ["Test", "Test"],
});

/** An event as people call it; one that is not known here by its own name. */
export function eventName(event: string, t: Translate<typeof eventText>): string {
  return event in eventText ? t(event as keyof typeof eventText) : event;
}
