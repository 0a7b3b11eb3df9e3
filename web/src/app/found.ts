import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { useNavigate } from "@tanstack/react-router";
import {
  Bell,
  Crosshair,
  type LucideIcon,
  MonitorSmartphone,
  Radar,
  Router,
  ShieldAlert,
  UserRound,
} from "lucide-react";
import { api, must, type Schema } from "@/api/client";

export type Found = Schema<"FoundView">;

/** How each kind of thing is drawn, and in which order the kinds stand. */
export const FOUND_KINDS = ["entity", "incident", "alert", "host", "rule", "exporter", "user"] as const;
export type FoundKind = (typeof FOUND_KINDS)[number];
export const FOUND_ICONS: Record<FoundKind, LucideIcon> = {
  entity: Crosshair,
  incident: ShieldAlert,
  alert: Bell,
  host: MonitorSmartphone,
  rule: Radar,
  exporter: Router,
  user: UserRound,
};

/** Everything that one may see and that fits. */
export function foundQuery(text: string, limit: number) {
  const q = text.trim();
  return queryOptions({
    queryKey: ["search", q, limit],
    queryFn: () => must(api.GET("/api/v1/search", { params: { query: { q, limit } } })),
    enabled: q.length > 0,
    placeholderData: keepPreviousData,
  });
}

/** Goes to what was found. */
export function goTo(found: Found, navigate: ReturnType<typeof useNavigate>): void {
  switch (found.kind) {
    case "entity": {
      const slash = found.id.indexOf("/");
      const params = { kind: found.id.slice(0, slash), value: found.id.slice(slash + 1) };
      return void navigate({ to: "/entities/$kind/$value", params });
    }
    case "incident":
      return void navigate({ to: "/incidents/$id", params: { id: found.id } });
    case "alert":
      return void navigate({ to: "/alerts/$id", params: { id: found.id } });
    case "rule":
      return void navigate({ to: "/rules/$id", params: { id: found.id } });
    case "host":
      return void navigate({ to: "/hosts/$id", params: { id: found.id } });
    case "exporter":
      return void navigate({ to: "/exporters" });
    default:
      return void navigate({ to: "/users", search: { q: found.title } });
  }
}
