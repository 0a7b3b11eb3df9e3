import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";

export type HostActivity = Schema<"HostActivity">;
export type HostHealth = Schema<"HostHealthOverTime">;

export const CLASSES = ["processes", "connections", "files", "logins", "logs"] as const;
export type EventClass = (typeof CLASSES)[number];

/** One thing that happened, with the columns of its class; absent ones are left out. */
export interface HostEvent {
  class: EventClass;
  batch: number;
  row: number;
  time: string;
  received: string;
  activity?: string;
  [column: string]: unknown;
}

export interface Stretch {
  from: string;
  /** Without an end it goes on, and what happens meanwhile comes in. */
  to?: string;
}

export const eventId = (event: HostEvent): string => `${event.batch}-${event.row}`;

export function textOf(event: HostEvent, column: string): string {
  const value = event[column];
  return value === null || value === undefined ? "" : String(value);
}

export function numberOf(event: HostEvent, column: string): number | null {
  const value = event[column];
  return typeof value === "number" ? value : null;
}

/** Events of a page. */
const PAGE = 200;

export function eventsQuery(
  id: string,
  stretch: Stretch,
  which: { class?: string; filter?: string; limit?: number },
): PagedQuery<HostEvent> {
  const { limit = PAGE, ...rest } = which;
  const first = { ...stretch, ...rest, limit };
  return {
    queryKey: ["host-events", id, "list", first],
    load: async (cursor) => {
      const query = cursor ? { cursor, limit } : first;
      const page = await must(api.GET("/api/v1/hosts/{id}/events", { params: { path: { id }, query } }));
      return { items: page.items as unknown as HostEvent[], next_cursor: page.next_cursor ?? null };
    },
  };
}

export function activityQuery(id: string, stretch: Stretch) {
  return {
    queryKey: ["host-events", id, "activity", stretch],
    queryFn: () => must(api.GET("/api/v1/hosts/{id}/activity", { params: { path: { id }, query: stretch } })),
  };
}

export function healthQuery(id: string, stretch: Stretch) {
  return {
    queryKey: ["host-events", id, "health", stretch],
    queryFn: () =>
      must(api.GET("/api/v1/hosts/{id}/health", { params: { path: { id }, query: { ...stretch, steps: 120 } } })),
  };
}

/** Alerts about a host of this name, most recent activity first. */
export function hostAlertsQuery(name: string, stretch: Stretch) {
  const query = { entity: name, sort: "activity", limit: 100, ...stretch };
  return {
    queryKey: ["alerts", "of-host", name, stretch],
    queryFn: () => must(api.GET("/api/v1/alerts", { params: { query } })).then(({ items }) => items),
  };
}

export function openAlertsQuery(name: string) {
  return {
    queryKey: ["alerts", "open-of-host", name],
    queryFn: () => must(api.GET("/api/v1/alerts/counts", { params: { query: { entity: name, status: "open" } } })),
  };
}

/** Columns in which the search of a class looks. */
const SEARCHED: Record<EventClass, readonly string[]> = {
  processes: ["image", "command_line", "user", "parent_image", "sha256"],
  connections: ["image", "name", "user"],
  files: ["path", "image", "user", "package", "sha256"],
  logins: ["user", "target_user", "service", "reason", "method"],
  logs: ["message", "program", "unit", "image"],
};
/** What deserves a look. */
export const NOTABLE: Record<EventClass, string> = {
  processes: "elevated = true",
  connections: "activity = listen",
  files: "expected = false",
  logins: "success = false",
  logs: "severity <= 3",
};

const ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:.]*)$/i;

/** The filter of the API for what was typed and chosen; conditions of its own go before. */
export function filterOf(
  kind: EventClass,
  state: { q?: string | undefined; only?: "notable" | undefined },
  ...own: string[]
): string {
  const parts = [...own];
  const typed = state.q?.trim();
  if (typed) {
    // Stars and question marks stand for any text, as in every filter; quotes and backslashes stand for themselves.
    const quoted = `"*${typed.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}*"`;
    const any = SEARCHED[kind].map((column) => `${column} like ${quoted}`);
    if (/^\d{1,9}$/.test(typed) && kind !== "files") any.push(`pid = ${typed}`);
    if (kind === "connections" && /^\d{1,5}$/.test(typed)) any.push(`port = ${typed}`);
    if (ADDRESS.test(typed) && kind === "connections") any.push(`ip = ${typed}`);
    if (ADDRESS.test(typed) && kind === "logins") any.push(`src_ip = ${typed}`);
    parts.push(`(${any.join(" or ")})`);
  }
  if (state.only === "notable") parts.push(`(${NOTABLE[kind]})`);
  return parts.join(" and ");
}
