import { useQuery } from "@tanstack/react-query";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { Matrix } from "@/charts/matrix";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Nothing } from "./nothing";

/** Where in an attack its alerts stand. */
export function AttackView({ incident }: { incident: Incident }) {
  const t = useText(text);
  const query = useQuery({
    queryKey: ["incidents", "attack", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/attack", { params: { path: { id: incident.id } } })),
  });
  return (
    <Panel title={t("attack")}>
      <Loaded query={query} rows={4}>
        {(data) => {
          const seen = data.tactics.filter((tactic) => tactic.alerts > 0 || tactic.techniques.length > 0);
          if (seen.length === 0) return <Nothing>{t("noAttack")}</Nothing>;
          return (
            <Matrix
              label={t("attack")}
              tactics={seen.map((tactic) => ({
                id: tactic.id,
                name: tactic.name,
                cells: tactic.techniques.map(({ id, alerts }) => ({ id, value: alerts })),
              }))}
              search={(id) => ({ attack: id.toLowerCase(), incident: incident.id, status: "all" })}
            />
          );
        }}
      </Loaded>
    </Panel>
  );
}
