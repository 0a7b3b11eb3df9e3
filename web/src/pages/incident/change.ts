import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { freshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";

export type Change = Omit<Schema<"UpdateIncident">, "version">;

/** Changes an incident as it was seen; a newer state is shown instead of being overwritten. */
export function useChange(incident: Incident) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  /** What somebody else made of it, after a change was refused. */
  const [conflict, setConflict] = useState<Incident | null>(null);
  const key = ["incidents", "one", String(incident.number)];
  const change = (part: Change) =>
    act(async () => {
      setConflict(null);
      try {
        const next = await must(
          api.PATCH("/api/v1/incidents/{id}", {
            params: { path: { id: incident.id } },
            body: { version: incident.version, ...part },
          }),
        );
        client.setQueryData(key, next);
        freshen(client, ["incidents"]);
        return next;
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") {
          if (error.current) {
            client.setQueryData(key, error.current);
            setConflict(error.current as Incident);
          }
          freshen(client, ["incidents"]);
          throw new Error(t("conflict", { name: t("somebody") }));
        }
        throw error;
      }
    }, t("saved"));
  return { busy, change, conflict };
}
