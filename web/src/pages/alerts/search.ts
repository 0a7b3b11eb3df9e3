import { search } from "@/app/search";

export const GROUPINGS = ["rule", "entity", "incident"] as const;

/** The state of the list of alerts, as it stands in the URL. */
export const alertSearch = search({
  q: "text",
  status: ["open", "new", "acknowledged", "closed", "all"],
  severity: ["critical", "high", "medium", "low"],
  rule: "text",
  entity: "text",
  attack: "text",
  assignee: ["me", "none"],
  incident: "text",
  snoozed: ["only", "exclude"],
  suppressed: ["only", "include"],
  replay: ["exclude", "only"],
  group: GROUPINGS,
  from: "text",
  to: "text",
  sort: "text",
});
export type AlertSearch = ReturnType<typeof alertSearch>;
