import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { type PagedQuery, useRows } from "@/api/list";
import { peopleQuery } from "@/app/people";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Button } from "@/ui/button";
import { Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Failure, Loading } from "@/ui/state";
import { EntryRow } from "./entry";
import { Write } from "./write";

type Entry = Schema<"EntryView">;
type Order = "desc" | "asc";

const KINDS = {
  timelineAll: "",
  timelineSaid: "comment,note",
  timelineAlerts: "alert",
  timelineWork: "action,status,edit,evidence,task,entity,merge,sla",
} as const;
type Which = keyof typeof KINDS;

function timelineQuery(incident: Incident, which: Which, order: Order): PagedQuery<Entry> {
  const path = { id: incident.id };
  const kinds = KINDS[which];
  const first = { order, ...(kinds ? { kinds } : {}) };
  return {
    queryKey: ["incidents", "timeline", incident.id, which, order],
    load: (cursor) =>
      must(api.GET("/api/v1/incidents/{id}/timeline", { params: { path, query: cursor ? { cursor } : first } })),
  };
}

/** Everything that happened, newest first, and the field to say something. */
export function Timeline({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const [which, setWhich] = useState<Which>("timelineAll");
  const [order, setOrder] = useState<Order>("desc");
  const people = useQuery({ ...peopleQuery, enabled: useCan("alerts:read") });
  const list = useRows(timelineQuery(incident, which, order));
  return (
    <Panel
      title={t("timeline")}
      aside={
        <>
          <Select
            label={t("timelineKinds")}
            value={which}
            onChange={setWhich}
            options={(Object.keys(KINDS) as Which[]).map((value) => ({ value, label: t(value) }))}
          />
          <Select
            label={t("order")}
            value={order}
            onChange={setOrder}
            options={[
              { value: "desc" as const, label: t("newestFirst") },
              { value: "asc" as const, label: t("oldestFirst") },
            ]}
          />
        </>
      }
    >
      {write && <Write incident={incident} people={people.data?.items ?? []} />}
      {list.error && !list.ready ? (
        <Failure error={list.error} onRetry={list.refetch} />
      ) : !list.ready ? (
        <Loading rows={5} className="!p-0" />
      ) : list.rows.length === 0 ? (
        <p className="m-0 text-sm text-text-3">{t("timelineEmpty")}</p>
      ) : (
        <ol className="m-0 list-none p-0">
          {list.rows.map((entry) => (
            <EntryRow key={entry.id} incident={incident} entry={entry} />
          ))}
        </ol>
      )}
      {list.more && (
        <Button look="quiet" busy={list.loadingMore} onClick={list.more}>
          {t("loadMore")}
        </Button>
      )}
    </Panel>
  );
}
