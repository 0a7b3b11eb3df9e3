import { search } from "@/app/search";

export const incidentSearch = search({
  q: "text",
  view: ["board"],
  which: ["all", "mine", "watching"],
  severity: ["critical", "high", "medium", "low"],
  kind: "text",
  tag: "text",
  sla: ["warning", "breached"],
  attack: "text",
  entity: "text",
  sort: "text",
  tab: "text",
});
export type IncidentSearch = ReturnType<typeof incidentSearch>;
