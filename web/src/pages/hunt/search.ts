import { RANGES } from "@/app/range";
import { search } from "@/app/search";

/** The state of a hunt, as it stands in the URL. */
export const huntSearch = search({
  mode: ["filter", "sql"],
  filter: "text",
  sql: "text",
  range: RANGES,
  from: "text",
  to: "text",
  top: "text",
});
export type HuntSearch = ReturnType<typeof huntSearch>;
