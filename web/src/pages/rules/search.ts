import { search } from "@/app/search";

export const rulesSearch = search({
  q: "text",
  state: ["enabled", "disabled", "broken"],
  origin: ["shipped", "custom"],
  sort: "text",
});
export type RulesSearch = ReturnType<typeof rulesSearch>;
export const ruleSearch = search({ source: "text", tab: ["text", "exceptions", "versions"] });
