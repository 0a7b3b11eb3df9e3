/** Notifications: their shapes and queries, for the bell and for the page. */
import { send } from "@/api/client";
import { catalogue } from "@/i18n/text";

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

export interface Notification {
  id: string;
  event: EventName | "test";
  time: string;
  title: string;
  text: string;
  /** A path of the console. */
  link: string | null;
  by: string | null;
  test: boolean;
  read: string | null;
}

export interface NotificationList {
  items: Notification[];
  next_cursor?: string | null;
  unread: number;
}

export interface EventChoice {
  app: boolean;
  mail: "none" | "immediate" | "digest";
}

export interface NotificationPreferences {
  version: number;
  language: "en" | "de";
  zone: string;
  mail_to: string | null;
  mail_ready: boolean;
  events: Record<EventName, EventChoice>;
  alert_severity_min: string;
  digest: { every: "hour" | "day"; at: string };
  quiet: null | { from: string; to: string; except_critical: boolean };
}

export interface ChannelFilter {
  severity_min: string | null;
  rules: string[];
  entity: string | null;
  attack: string | null;
}

export interface Channel {
  id: string;
  version: number;
  name: string;
  kind: "mail" | "webhook";
  enabled: boolean;
  to: string[] | null;
  url: string | null;
  language: "en" | "de" | null;
  events: EventName[];
  filter: ChannelFilter | null;
  created: string;
  health: {
    last_delivered: string | null;
    last_failed: string | null;
    last_answer: string | null;
    waiting: number;
    failed_24h: number;
  };
}

export interface Delivery {
  id: string;
  event: string;
  title: string;
  channel: string | null;
  user: { id: string; name: string } | null;
  kind: "mail" | "webhook";
  target: string;
  state: "waiting" | "delivered" | "failed";
  attempts: number;
  created: string;
  next_attempt: string | null;
  finished: string | null;
  answer: string | null;
  test: boolean;
}

export const unreadQuery = {
  queryKey: ["notifications", "unread"],
  queryFn: () => send<{ unread: number }>("GET", "/notifications/unread"),
  retry: false,
};

export const latestQuery = {
  queryKey: ["notifications", "latest"],
  queryFn: () => send<NotificationList>("GET", "/notifications?limit=8"),
};

export function inboxQuery(unread: boolean) {
  return {
    queryKey: ["notifications", "list", unread],
    queryFn: ({ pageParam }: { pageParam: string | null }) => {
      const query = new URLSearchParams(pageParam ? { cursor: pageParam } : unread ? { unread: "true" } : {});
      query.set("limit", "50");
      return send<NotificationList>("GET", `/notifications?${query}`);
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page: NotificationList) => page.next_cursor ?? null,
  };
}

export function markRead(which: { ids: string[] } | { all: true }): Promise<{ unread: number }> {
  return send("POST", "/notifications/read", which);
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
