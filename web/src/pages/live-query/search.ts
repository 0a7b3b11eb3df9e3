import { search } from "@/app/search";

export const ASKED_STATUSES = ["online", "offline"] as const;

/** The state of the page of live queries, as it stands in the URL. */
export const liveQuerySearch = search({
  /** The query whose answer is shown. */
  id: "text",
  sql: "text",
  view: ["history"],
  part: ["hosts"],
  /** Hosts in this state alone. */
  state: "text",
  /** Rows of this host alone. */
  of: "text",
  /** The table that is explained. */
  table: "text",
  /** Which hosts are asked: ids with commas between them, or what they have. */
  hosts: "text",
  q: "text",
  status: ASKED_STATUSES,
  tag: "text",
  group: "text",
  version: "text",
});
export type LiveQuerySearch = ReturnType<typeof liveQuerySearch>;
