import { search } from "@/app/search";

export const VIEWS = ["list", "fixes", "compare", "exceptions", "settings"] as const;
export const RATINGS = ["critical", "high", "medium", "low"] as const;
export const ONLY = ["exploited", "fixable", "overdue", "restart"] as const;
export const SORTS = ["risk", "hosts", "rating", "epss", "first_seen", "oldest"] as const;

/** The state of the page of vulnerabilities, as it stands in the URL. */
export const vulnerabilitiesSearch = search({
  view: VIEWS,
  q: "text",
  rating: RATINGS,
  only: ONLY,
  group: "text",
  tag: "text",
  package: "text",
  sort: "text",
});
export type VulnerabilitiesSearch = ReturnType<typeof vulnerabilitiesSearch>;
