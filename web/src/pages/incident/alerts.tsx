import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { writer, writerText } from "@/app/writer";
import type { Alert } from "@/pages/alerts/data";
import { text as entityText } from "@/pages/entity/strings";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { AlertStatus, SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Checkbox, Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Ago } from "@/ui/time";
import { done } from "@/ui/toast";
import { Nothing } from "./nothing";
import { reason, text as whyText } from "./why";

function flipped(ids: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** The alerts, each with the reasons for which it is here; some can leave for an incident of their own. */
export function IncidentAlerts({ incident }: { incident: Incident }) {
  const t = useText(text);
  const n = useText(writerText);
  const w = useText(whyText);
  const k = useText(entityText);
  const u = useText(ui);
  const write = useCan("incidents:write");
  const refresh = useFreshen("incidents", "alerts");
  const { act } = useAction();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [splitting, setSplitting] = useState(false);
  const [adding, setAdding] = useState(false);
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "alerts", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/alerts", { params: { path } })),
  });
  const takeOut = (alert: string) => {
    const params = { path: { ...path, alert } };
    void act(() => must(api.DELETE("/api/v1/incidents/{id}/alerts/{alert}", { params })), t("removed")).then(refresh);
  };
  const all = query.data?.items.length ?? 0;
  return (
    <Panel
      title={t("alerts")}
      aside={
        write && (
          <>
            {chosen.size > 0 && chosen.size < all && <Button onClick={() => setSplitting(true)}>{t("split")}</Button>}
            <Button icon={Plus} onClick={() => setAdding(true)}>
              {t("addAlerts")}
            </Button>
          </>
        )
      }
    >
      <Loaded query={query} rows={4}>
        {(data) =>
          data.items.length === 0 ? (
            <Nothing>{t("noAlerts")}</Nothing>
          ) : (
            <ul className="m-0 list-none p-0">
              {data.items.map(({ alert, why, joined, joined_by }) => (
                <li key={alert.id} className="border-t border-line py-3 first:border-0 first:pt-0">
                  <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
                    {write && (
                      <Checkbox
                        label={t("selectAlert", { title: alert.title })}
                        checked={chosen.has(alert.id)}
                        onChange={() => setChosen(flipped(chosen, alert.id))}
                      />
                    )}
                    <SeverityMark severity={alert.severity} />
                    <Link
                      to="/alerts/$id"
                      params={{ id: alert.id }}
                      className="min-w-0 flex-1 text-sm font-medium text-text no-underline hover:text-accent max-sm:basis-1/2 sm:truncate"
                    >
                      {alert.title}
                    </Link>
                    <span className="mono text-text-2">{alert.entity}</span>
                    <AlertStatus status={alert.status} />
                    {write && (
                      <Button className="!h-7 max-sm:ml-auto" onClick={() => takeOut(alert.id)}>
                        {t("removeAlert")}
                      </Button>
                    )}
                  </div>
                  <div className="mt-1 text-xs text-text-3">
                    {t("joined", { by: writer(joined_by, why[0]?.factor !== "person", n) })} · <Ago time={joined} />
                  </div>
                  {why.length > 0 && (
                    <ul aria-label={t("why")} className="m-0 mt-2 flex list-none flex-col gap-1 p-0">
                      {why.map((said) => (
                        <li key={said.text} className="flex gap-2 text-xs text-text-2">
                          {said.score > 0 && (
                            <span className="num w-9 shrink-0 text-right font-medium text-accent">+{said.score}</span>
                          )}{" "}
                          {reason(said.text, w, k, u)}
                        </li>
                      ))}
                    </ul>
                  )}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Dialog
        open={adding}
        onClose={() => setAdding(false)}
        title={t("addAlerts")}
        description={t("addAlertsHint")}
        wide
      >
        {adding && <Add incident={incident} onClose={() => setAdding(false)} />}
      </Dialog>
      <Dialog
        open={splitting}
        onClose={() => setSplitting(false)}
        title={t("splitTitle", { n: chosen.size })}
        description={t("splitHint")}
      >
        {splitting && <SplitForm incident={incident} alerts={[...chosen]} onClose={() => setSplitting(false)} />}
      </Dialog>
    </Panel>
  );
}

function SplitForm({ incident, alerts, onClose }: { incident: Incident; alerts: string[]; onClose: () => void }) {
  const t = useText(text);
  const navigate = useNavigate();
  const refresh = useFreshen("incidents", "alerts");
  const { busy, act } = useAction();
  const [title, setTitle] = useState(incident.title);
  const split = async (event: FormEvent) => {
    event.preventDefault();
    const params = { path: { id: incident.id } };
    const made = await act(() => must(api.POST("/api/v1/incidents/{id}/split", { params, body: { alerts, title } })));
    refresh();
    if (!made) return;
    onClose();
    done(t("splitDone", { number: made.number }));
    await navigate({ to: "/incidents/$id", params: { id: String(made.number) } });
  };
  return (
    <form onSubmit={split} className="flex flex-col gap-4">
      <Field label={t("name")}>
        {(ids) => (
          <Input {...ids} required autoFocus value={title} onChange={(event) => setTitle(event.target.value)} />
        )}
      </Field>
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {t("create")}
      </Button>
    </form>
  );
}

/** Picks from the open alerts that belong nowhere. */
function Add({ incident, onClose }: { incident: Incident; onClose: () => void }) {
  const t = useText(text);
  const refresh = useFreshen("incidents", "alerts");
  const { busy, act } = useAction();
  const [search, setSearch] = useState("");
  const [reason, setReason] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const query = useQuery({
    queryKey: ["alerts", "free", search],
    queryFn: () =>
      must(
        api.GET("/api/v1/alerts", {
          params: {
            query: { status: "open", incident: "none", sort: "newest", limit: 50, ...(search ? { search } : {}) },
          },
        }),
      ),
    placeholderData: (before) => before,
  });
  const add = async () => {
    const body = { alerts: [...chosen], ...(reason.trim() ? { reason } : {}) };
    const params = { path: { id: incident.id } };
    const added = await act(() => must(api.POST("/api/v1/incidents/{id}/alerts", { params, body })), t("added"));
    refresh();
    if (added) onClose();
  };
  return (
    <div className="flex flex-col gap-4">
      <Input
        type="search"
        aria-label={t("search")}
        placeholder={t("search")}
        value={search}
        onChange={(event) => setSearch(event.target.value)}
      />
      <Loaded query={query} rows={4}>
        {(data: { items: Alert[] }) => (
          <ul className="m-0 max-h-80 list-none overflow-y-auto p-0">
            {data.items.length === 0 && (
              <li>
                <Nothing>{t("addAlertsNone")}</Nothing>
              </li>
            )}
            {data.items.map((alert) => (
              <li key={alert.id} className="flex items-center gap-3 border-t border-line py-2 text-sm first:border-0">
                <Checkbox
                  label={t("selectAlert", { title: alert.title })}
                  checked={chosen.has(alert.id)}
                  onChange={() => setChosen(flipped(chosen, alert.id))}
                />
                <SeverityMark severity={alert.severity} bare />
                <span className="min-w-0 flex-1 truncate">{alert.title}</span>
                <span className="mono text-text-2">{alert.entity}</span>
                <span className="text-xs text-text-3">
                  <Ago time={alert.last_seen} />
                </span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <Field label={t("reason")}>
        {(ids) => <Input {...ids} value={reason} onChange={(event) => setReason(event.target.value)} />}
      </Field>
      <Button look="primary" busy={busy} disabled={chosen.size === 0} className="self-end" onClick={() => void add()}>
        {t("addAlerts")}
      </Button>
    </div>
  );
}
