import { search } from "@/app/search";

export const STATUSES = ["online", "offline", "never", "revoked"] as const;
export const TROUBLES = ["any", "complaints", "lost"] as const;

/** The state of the list of hosts, as it stands in the URL. */
export const hostsSearch = search({
  q: "text",
  status: STATUSES,
  trouble: TROUBLES,
  tag: "text",
  group: "text",
  version: "text",
  sort: "text",
});
export type HostsSearch = ReturnType<typeof hostsSearch>;
