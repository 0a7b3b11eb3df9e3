import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, must, type Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { SEVERITIES, type Severity } from "@/ui/badge";
import { done, failed } from "@/ui/toast";
import type { RulesSearch } from "./search";
import { text } from "./strings";

export type Rule = Schema<"RuleView">;

export const rulesQuery = { queryKey: ["rules", "list"], queryFn: () => must(api.GET("/api/v1/rules")) };

/** Days that alerts of rules are counted over. */
export const ALERT_DAYS = 30;

/** Alerts by rule; the coverage counts them. */
export const alertsByRuleQuery = {
  queryKey: ["rules", "coverage", "alerts"],
  queryFn: async () => {
    const query = { replay: "include" };
    const coverage = await must(api.GET("/api/v1/rules/coverage", { params: { query } }));
    const rules = [...coverage.techniques.flatMap((technique) => technique.rules), ...coverage.without];
    return new Map(rules.map((rule) => [rule.id, rule.alerts]));
  },
};

/** Starts or stops a rule. */
export function useSwitchRule() {
  const t = useText(text);
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ rule, enabled }: { rule: Rule; enabled: boolean }) => {
      const params = { path: { id: rule.id } };
      return must(
        enabled
          ? api.POST("/api/v1/rules/{id}/enable", { params })
          : api.POST("/api/v1/rules/{id}/disable", { params }),
      );
    },
    onSuccess: (_, { rule, enabled }) => {
      void client.invalidateQueries({ queryKey: ["rules"] });
      done(t(enabled ? "started" : "stopped", { title: rule.title }));
    },
    onError: failed,
  });
}

const RANK: Record<string, number> = Object.fromEntries(SEVERITIES.map((level, index) => [level, index]));
const ORDERS: Record<string, (a: Rule, b: Rule) => number> = {
  title: (a, b) => a.title.localeCompare(b.title),
  severity: (a, b) => (RANK[b.severity as Severity] ?? 9) - (RANK[a.severity as Severity] ?? 9),
  matched: (a, b) => a.matched - b.matched,
  fired: (a, b) => a.fired - b.fired,
};

/** The rules that the state in the URL asks for, in its order. Orders are largest first; `-` turns them round. */
export function chosenRules(rules: readonly Rule[], state: RulesSearch, alerts: ReadonlyMap<string, number>): Rule[] {
  const query = state.q?.toLowerCase() ?? "";
  const found = rules.filter(
    (rule) =>
      (!query || rule.title.toLowerCase().includes(query) || rule.id.includes(query)) &&
      (!state.origin || rule.origin === state.origin) &&
      (state.state === undefined ||
        (state.state === "broken" ? rule.issues.length > 0 : rule.enabled === (state.state === "enabled"))),
  );
  const sort = state.sort ?? "-title";
  const by = sort.replace(/^-/, "");
  const byAlerts = (a: Rule, b: Rule) => (alerts.get(a.id) ?? 0) - (alerts.get(b.id) ?? 0);
  const order = by === "alerts" ? byAlerts : (ORDERS[by] ?? ORDERS.title);
  return found.sort((a, b) => (order?.(a, b) ?? 0) * (sort.startsWith("-") ? 1 : -1) || a.title.localeCompare(b.title));
}
