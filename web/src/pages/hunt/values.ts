import type { QueryClient } from "@tanstack/react-query";
import { api, must } from "@/api/client";
import type { TableView } from "@/ui/editor/filter-language";
import type { AskValues, Frequent } from "@/ui/editor/values";
import { stretch } from "./data";
import type { HuntSearch } from "./search";

type Column = TableView["columns"][number];

/** As many values as a list of suggestions shows. */
const VALUES = 20;
/** How long an answer is good enough for a suggestion. */
const FRESH_MS = 60_000;
/** Types of which single values recur. */
const RECURRING = new Set(["ip", "label", "text", "mac", "u8", "u16", "u32"]);
const OWN = new Set(["row"]);
/** Names of the filter language that mean either end of a flow. */
const ENDS = new Set(["ip", "port", "country", "city", "as", "as_org", "mac"]);

/** The columns of flows that a name stands for, as far as their values recur. */
export function columnsOf(table: TableView | undefined, name: string): string[] {
  const names = ENDS.has(name) ? [`src_${name}`, `dst_${name}`] : [name];
  const recurs = (column: Column) => RECURRING.has(column.type) && !column.unit && !OWN.has(column.name);
  return names.filter((one) => table?.columns.some((column) => column.name === one && recurs(column)));
}

/** What the columns have most in a stretch of time. Answers are kept for a minute; failures are no matter here. */
export function valuesQuery(columns: readonly string[], { range, from, to }: HuntSearch) {
  return {
    queryKey: ["hunt", "values", columns, range ?? "24h", from, to],
    queryFn: async ({ signal }: { signal: AbortSignal }) => {
      const flows = new Map<unknown, number>();
      for (const by of columns) {
        const query = { by, metric: "flows", n: VALUES, ...stretch({ range, from, to }) };
        const top = await must(api.GET("/api/v1/flows/top", { params: { query }, signal }));
        for (const item of top.items as Record<string, unknown>[]) {
          const value = item[by];
          if (value !== undefined && value !== null && value !== "")
            flows.set(value, (flows.get(value) ?? 0) + Number(item.total_flows));
        }
      }
      return [...flows].sort((a, b) => b[1] - a[1]).slice(0, VALUES);
    },
    staleTime: FRESH_MS,
    gcTime: 5 * FRESH_MS,
    retry: false,
  };
}

/** Asks for the values of flows, for editors. */
export function askValues(
  client: QueryClient,
  table: TableView | undefined,
  state: HuntSearch,
  count: (flows: number) => string,
): AskValues {
  return (name) => {
    const columns = columnsOf(table, name.toLowerCase());
    if (columns.length === 0) return null;
    const found = client.fetchQuery(valuesQuery(columns, state));
    return found.then((values) => values.map(([value, flows]): Frequent => ({ value, detail: count(flows) })));
  };
}
