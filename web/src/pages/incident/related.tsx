import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import type { Incident } from "@/pages/incidents/data";
import { IncidentCard } from "@/pages/incidents/parts";
import { text } from "@/pages/incidents/strings";
import { Button } from "@/ui/button";
import { Input } from "@/ui/form";
import { Confirm } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { Nothing } from "./nothing";

/** Others that share something with it, to look at or to merge; and what was merged, with its way back. */
export function Related({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const refresh = useFreshen("incidents", "alerts");
  const { act } = useAction();
  const [merging, setMerging] = useState<Incident | null>(null);
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "related", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/related", { params: { path } })),
  });
  const merge = async () => {
    if (!merging) return;
    const body = { version: incident.version, from: [merging.id] };
    await act(() => must(api.POST("/api/v1/incidents/{id}/merge", { params: { path }, body })), t("merged"));
    refresh();
  };
  return (
    <div className="flex flex-col gap-4">
      <Panel title={t("related")} aside={write && <MergeByNumber incident={incident} onFound={setMerging} />}>
        <Loaded query={query} rows={3}>
          {(data) =>
            data.items.length === 0 ? (
              <Nothing>{t("noRelated")}</Nothing>
            ) : (
              <ul className="m-0 grid list-none gap-3 p-0 md:grid-cols-2">
                {data.items.map((other) => (
                  <li key={other.incident.id} className="flex min-w-0 flex-col gap-2">
                    <IncidentCard incident={other.incident} />
                    <div className="flex items-center justify-between gap-2 text-xs text-text-3">
                      <span className="truncate">{t("shares", { things: other.shared.map(String).join(", ") })}</span>
                      {write && (
                        <Button className="!h-7" onClick={() => setMerging(other.incident)}>
                          {t("merge")}
                        </Button>
                      )}
                    </div>
                  </li>
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
      <Merges incident={incident} />
      <Confirm
        open={merging !== null}
        onClose={() => setMerging(null)}
        title={t("mergeTitle", { number: merging?.number ?? 0 })}
        description={
          <>
            {merging && <p className="mt-0 font-medium text-text">{merging.title}</p>}
            {t("mergeHint")}
          </>
        }
        action={t("merge")}
        onConfirm={merge}
      />
    </div>
  );
}

function MergeByNumber({ incident, onFound }: { incident: Incident; onFound: (other: Incident) => void }) {
  const t = useText(text);
  const { busy, act } = useAction();
  const [number, setNumber] = useState("");
  const look = async (event: FormEvent) => {
    event.preventDefault();
    const id = number.replace(/^#/, "").trim();
    const found = await act(() => must(api.GET("/api/v1/incidents/{id}", { params: { path: { id } } })));
    if (!found || found.id === incident.id) return;
    setNumber("");
    onFound(found);
  };
  return (
    <form onSubmit={look} className="flex items-center gap-2">
      <Input
        aria-label={t("mergeNumber")}
        placeholder="#"
        inputMode="numeric"
        value={number}
        onChange={(event) => setNumber(event.target.value)}
        className="!h-7 !w-20"
      />
      <Button type="submit" className="!h-7" busy={busy} disabled={!number.trim()}>
        {t("mergeOther")}
      </Button>
    </form>
  );
}

function Merges({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const refresh = useFreshen("incidents", "alerts");
  const { busy, act } = useAction();
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "merges", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/merges", { params: { path } })),
  });
  const undo = (merge: Schema<"MergeView">) => {
    const params = { path: { ...path, merge: merge.id } };
    void act(() => must(api.POST("/api/v1/incidents/{id}/merges/{merge}/undo", { params })), t("mergeUndone")).then(
      refresh,
    );
  };
  if ((query.data?.items.length ?? 0) === 0) return null;
  return (
    <Panel title={t("merges")}>
      <ul className="m-0 list-none p-0">
        {query.data?.items.map((merge) => (
          <li
            key={merge.id}
            className="flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line py-2.5 text-sm first:border-0"
          >
            <span className="min-w-0 flex-1 basis-48">
              <Link
                to="/incidents/$id"
                params={{ id: String(merge.source_number) }}
                className="font-medium text-text no-underline hover:text-accent"
              >
                <span className="num text-text-3">#{merge.source_number}</span> {merge.source_title}
              </Link>
              <span className="block text-xs text-text-3">
                {t("mergedBy", { by: merge.actor })} · <Ago time={merge.time} /> · {t("movedWhat", merge.moved)}
              </span>
            </span>
            {merge.undone ? (
              <span className="text-xs text-text-3">{t("undoneBy", { by: merge.undone_by ?? "" })}</span>
            ) : (
              write && (
                <Button className="!h-7" busy={busy} onClick={() => undo(merge)}>
                  {t("undoMerge")}
                </Button>
              )
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
