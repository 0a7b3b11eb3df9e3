import { search } from "@/app/search";

/** The state of the list of alerts, as it stands in the URL. */
export const alertSearch = search({
  q: "text",
  status: ["open", "new", "acknowledged", "closed", "all"],
  severity: ["critical", "high", "medium", "low"],
  rule: "text",
  entity: "text",
  attack: "text",
  assignee: ["me", "none"],
  snoozed: ["only"],
  suppressed: ["only"],
  replay: ["exclude", "only"],
  from: "text",
  to: "text",
  sort: "text",
});
export type AlertSearch = ReturnType<typeof alertSearch>;
