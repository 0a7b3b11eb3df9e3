import { RANGES } from "@/app/range";
import { search } from "@/app/search";

export const TABS = [
  "posture",
  "vulnerabilities",
  "timeline",
  "processes",
  "network",
  "files",
  "logins",
  "logs",
  "inventory",
  "evidence",
  "actions",
  "policy",
  "agent",
] as const;
export type Tab = (typeof TABS)[number];

/** The state of the page of a host, as it stands in the URL. */
export const hostSearch = search({
  tab: TABS,
  range: RANGES,
  from: "text",
  to: "text",
  /** What is searched in the tab. */
  q: "text",
  /** What deserves a look alone. */
  only: ["notable"],
  /** Processes as a list of what happened rather than as a tree. */
  view: ["list"],
  /** The list of the inventory that is shown. */
  list: "text",
  /** How the inventory came to be so, rather than how it is. */
  show: ["changes"],
  /** The kind of actions that is shown. */
  kind: "text",
  /** The command of which is shown what came of it here. */
  run: "text",
  /** The event that is shown, by batch and row. */
  event: "text",
});
export type HostSearch = ReturnType<typeof hostSearch>;
