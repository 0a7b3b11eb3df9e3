import { search } from "@/app/search";

export const incidentSearch = search({
  q: "text",
  view: ["board"],
  which: ["all", "mine", "watching"],
  severity: ["critical", "high", "medium", "low"],
  entity: "text",
  sort: "text",
  tab: "text",
});
export type IncidentSearch = ReturnType<typeof incidentSearch>;
