import { api, must, type Schema } from "@/api/client";

export type Policy = Schema<"AgentPolicyView">;
export type PolicyOrder = Schema<"PolicyOrderView">;
export type PolicyVersion = Schema<"PolicyVersionView">;
export type PolicyValue = Schema<"PolicyValueView">;

export const policiesQuery = {
  queryKey: ["policies", "list"],
  queryFn: () => must(api.GET("/api/v1/policies")),
};
export const orderQuery = {
  queryKey: ["policies", "order"],
  queryFn: () => must(api.GET("/api/v1/policy-order")),
};
export const defaultsQuery = {
  queryKey: ["policies", "defaults"],
  queryFn: () => must(api.GET("/api/v1/policies/defaults")),
  staleTime: Number.POSITIVE_INFINITY,
};

export function policyQuery(id: string) {
  return {
    queryKey: ["policies", "one", id],
    queryFn: () => must(api.GET("/api/v1/policies/{id}", { params: { path: { id } } })),
  };
}

export function policyVersionsQuery(id: string) {
  return {
    queryKey: ["policies", "versions", id],
    queryFn: () => must(api.GET("/api/v1/policies/{id}/versions", { params: { path: { id } } })),
  };
}

export function hostPolicyQuery(id: string) {
  return {
    queryKey: ["policies", "of-host", id],
    queryFn: () => must(api.GET("/api/v1/hosts/{id}/policy", { params: { path: { id } } })),
    refetchInterval: 10_000,
  };
}

export const textOfDocument = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`;

/** A text as a document, or why it is none. */
export function readDocument(typed: string): { document: Record<string, never> } | { why: string } {
  try {
    const document: unknown = JSON.parse(typed);
    if (typeof document !== "object" || document === null || Array.isArray(document)) return { why: typeof document };
    return { document: document as Record<string, never> };
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) };
  }
}

/** The names of what a document says: `intervals.health_s`. */
export function saidBy(document: unknown, prefix = ""): string[] {
  if (typeof document !== "object" || document === null || Array.isArray(document)) return prefix ? [prefix] : [];
  return Object.entries(document).flatMap(([name, value]) => saidBy(value, prefix ? `${prefix}.${name}` : name));
}

/** A question that hosts ask themselves again and again. */
export interface ScheduledQuery {
  name: string;
  sql: string;
  every_s: number;
  snapshot: boolean;
  enabled: boolean;
}

/** The scheduled queries of a document, whatever else stands there. */
export function scheduledIn(document: unknown): ScheduledQuery[] {
  const queries = (document as { queries?: unknown } | null | undefined)?.queries;
  if (typeof queries !== "object" || queries === null || Array.isArray(queries)) return [];
  return Object.entries(queries as Record<string, Record<string, unknown> | null>).flatMap(([name, query]) => {
    const { sql, every_s, answer, enabled } = query ?? {};
    if (typeof sql !== "string" || typeof every_s !== "number") return [];
    return [{ name, sql, every_s, snapshot: answer === "snapshot", enabled: enabled !== false }];
  });
}

/** What came of a scheduled query, as a hunt. */
export function scheduledHunt(name: string): string {
  const key = name.replaceAll("'", "''");
  return `SELECT time, host, type, fields\nFROM logs\nWHERE source = 'query' AND key = '${key}'\nORDER BY time DESC LIMIT 1000`;
}

/** One line of the difference of two texts. */
export interface DiffLine {
  kind: "added" | "removed" | "same";
  text: string;
}

/** Lines that came and went between two texts, by their longest common part. */
export function diffLines(before: string, after: string): DiffLine[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  const longest: number[][] = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  const at = (i: number, j: number) => longest[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    const row = longest[i] as number[];
    for (let j = b.length - 1; j >= 0; j -= 1) {
      row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: "same", text: a[i] ?? "" });
      i += 1;
      j += 1;
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: "removed", text: a[i] ?? "" });
      i += 1;
    } else {
      lines.push({ kind: "added", text: b[j] ?? "" });
      j += 1;
    }
  }
  return lines;
}

/** An order with one assignment moved, and without those that are moved out of it. */
export function moved<T>(items: readonly T[], index: number, by: number): T[] {
  const rest = [...items];
  const [item] = rest.splice(index, 1);
  if (item !== undefined) rest.splice(Math.max(0, Math.min(rest.length, index + by)), 0, item);
  return rest;
}
