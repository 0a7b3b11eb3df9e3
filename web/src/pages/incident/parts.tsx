import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useRef, useState } from "react";
import { api, must, Problem, requestHeaders } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import type { Incident } from "@/pages/incidents/data";
import { IncidentCard } from "@/pages/incidents/parts";
import { text } from "@/pages/incidents/strings";
import { AlertStatus, Badge, SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Checkbox, Input, Select } from "@/ui/form";
import { Menu, MenuItem } from "@/ui/menu";
import { Confirm } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { done } from "@/ui/toast";

function Nothing({ children }: { children: string }) {
  return <p className="m-0 py-3 text-sm text-text-3">{children}</p>;
}

function useRefresh() {
  const client = useQueryClient();
  return () => void client.invalidateQueries({ queryKey: ["incidents"] });
}

/** The alerts, each with the reasons for which it is here. */
export function IncidentAlerts({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const refresh = useRefresh();
  const { act } = useAction();
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "alerts", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/alerts", { params: { path } })),
  });
  return (
    <Panel title={t("alerts")}>
      <Loaded query={query} rows={4}>
        {(data) =>
          data.items.length === 0 ? (
            <Nothing>{t("noAlerts")}</Nothing>
          ) : (
            <ul className="m-0 list-none p-0">
              {data.items.map(({ alert, why, joined, joined_by }) => (
                <li key={alert.id} className="border-t border-line py-3 first:border-0 first:pt-0">
                  <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
                    <SeverityMark severity={alert.severity} />
                    <Link
                      to="/alerts/$id"
                      params={{ id: alert.id }}
                      className="min-w-0 flex-1 truncate text-sm font-medium text-text no-underline hover:text-accent"
                    >
                      {alert.title}
                    </Link>
                    <span className="mono text-text-2">{alert.entity}</span>
                    <AlertStatus status={alert.status} />
                    {write && (
                      <Button
                        look="quiet"
                        className="!h-7"
                        onClick={() =>
                          void act(
                            () =>
                              must(
                                api.DELETE("/api/v1/incidents/{id}/alerts/{alert}", {
                                  params: { path: { ...path, alert: alert.id } },
                                }),
                              ),
                            t("removed"),
                          ).then(refresh)
                        }
                      >
                        {t("removeAlert")}
                      </Button>
                    )}
                  </div>
                  <div className="mt-1 text-xs text-text-3">
                    {t("joined", { by: joined_by })} · <Ago time={joined} />
                  </div>
                  {why.length > 0 && (
                    <ul aria-label={t("why")} className="m-0 mt-2 flex list-none flex-col gap-1 p-0">
                      {why.map((reason) => (
                        <li key={reason.text} className="flex gap-2 text-xs text-text-2">
                          <span className="num w-9 shrink-0 text-right font-medium text-accent">+{reason.score}</span>{" "}
                          {reason.text}
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
    </Panel>
  );
}

/** What is to be done, by hand or from a template. */
export function Tasks({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const refresh = useRefresh();
  const { busy, act } = useAction();
  const [title, setTitle] = useState("");
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "tasks", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/tasks", { params: { path } })),
  });
  const templates = useQuery({
    queryKey: ["incident-templates"],
    queryFn: () => must(api.GET("/api/v1/incident-templates")),
    enabled: write,
  });
  const add = async (event: FormEvent) => {
    event.preventDefault();
    if (await act(() => must(api.POST("/api/v1/incidents/{id}/tasks", { params: { path }, body: { title } }))))
      setTitle("");
    refresh();
  };
  return (
    <Panel
      title={t("tasks")}
      aside={
        <span className="num text-xs text-text-3">{`${incident.counts.tasks_done}/${incident.counts.tasks}`}</span>
      }
    >
      <Loaded query={query} rows={3}>
        {(data) => (
          <ul className="m-0 list-none p-0">
            {data.items.length === 0 && <Nothing>{t("noTasks")}</Nothing>}
            {data.items.map((task) => {
              const finished = task.status === "done" || task.status === "skipped";
              return (
                <li key={task.id} className="flex items-start gap-3 py-1.5 text-sm">
                  <span className="pt-0.5">
                    <Checkbox
                      label={t("taskDone", { title: task.title })}
                      checked={finished}
                      onChange={(on) =>
                        void act(() =>
                          must(
                            api.PATCH("/api/v1/incidents/{id}/tasks/{task}", {
                              params: { path: { ...path, task: task.id } },
                              body: { version: task.version, status: on ? "done" : "open" },
                            }),
                          ),
                        ).then(refresh)
                      }
                    />
                  </span>
                  <span className="min-w-0 flex-1">
                    <span className={classes("block", finished && "text-text-3 line-through")}>{task.title}</span>
                    {task.description && <span className="block text-xs text-text-3">{task.description}</span>}
                  </span>
                  {task.phase && <Badge>{task.phase}</Badge>}
                </li>
              );
            })}
          </ul>
        )}
      </Loaded>
      {write && (
        <form onSubmit={add} className="mt-3 flex flex-wrap gap-2">
          <Input
            aria-label={t("taskTitle")}
            placeholder={t("taskTitle")}
            value={title}
            onChange={(event) => setTitle(event.target.value)}
            className="!w-auto min-w-40 flex-1"
          />
          <Button type="submit" busy={busy} disabled={!title.trim()}>
            {t("addTask")}
          </Button>
          {(templates.data?.items.length ?? 0) > 0 && (
            <Menu trigger={<Button>{t("template")}</Button>}>
              {templates.data?.items.map((template) => (
                <MenuItem
                  key={template.id}
                  onSelect={() =>
                    void act(() =>
                      must(
                        api.POST("/api/v1/incidents/{id}/tasks", { params: { path }, body: { template: template.id } }),
                      ),
                    ).then(refresh)
                  }
                >
                  {template.name}
                </MenuItem>
              ))}
            </Menu>
          )}
        </form>
      )}
    </Panel>
  );
}

const KINDS = ["ip", "host", "user", "domain", "hash", "url", "email", "file", "other"] as const;

/** Addresses, hosts, people and other things that it is about. */
export function Entities({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const refresh = useRefresh();
  const { busy, act } = useAction();
  const [kind, setKind] = useState<(typeof KINDS)[number]>("ip");
  const [value, setValue] = useState("");
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "entities", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/entities", { params: { path } })),
  });
  const add = async (event: FormEvent) => {
    event.preventDefault();
    if (await act(() => must(api.POST("/api/v1/incidents/{id}/entities", { params: { path }, body: { kind, value } }))))
      setValue("");
    refresh();
  };
  return (
    <Panel title={t("entities")}>
      <Loaded query={query} rows={3}>
        {(data) => (
          <ul className="m-0 list-none p-0">
            {data.items.length === 0 && <Nothing>{t("noEntities")}</Nothing>}
            {data.items.map((entity) => (
              <li
                key={entity.id}
                className="flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line py-2 text-sm first:border-0"
              >
                <Badge>{entity.kind}</Badge>
                <Link
                  to="/alerts"
                  search={{ entity: entity.value, status: "all" }}
                  className="mono min-w-0 flex-1 truncate text-text no-underline hover:text-accent"
                >
                  {entity.value}
                </Link>
                {entity.indicator && <Badge tone="critical">{t("indicator")}</Badge>}
                <span className="num text-xs text-text-3">{`${t("alerts")}: ${entity.alerts}`}</span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {write && (
        <form onSubmit={add} className="mt-3 flex flex-wrap gap-2">
          <Select
            label={t("kind")}
            value={kind}
            onChange={setKind}
            options={KINDS.map((option) => ({ value: option, label: option }))}
          />
          <Input
            aria-label={t("value")}
            placeholder={t("value")}
            value={value}
            onChange={(event) => setValue(event.target.value)}
            className="mono !w-auto min-w-32 flex-1"
          />
          <Button type="submit" busy={busy} disabled={!value.trim()}>
            {t("addEntity")}
          </Button>
        </form>
      )}
    </Panel>
  );
}

/** Files, each with its hash and its custody. */
export function EvidenceFiles({ incident }: { incident: Incident }) {
  const t = useText(text);
  const format = useFormat();
  const write = useCan("incidents:write");
  const refresh = useRefresh();
  const { busy, act } = useAction();
  const picker = useRef<HTMLInputElement>(null);
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "evidence", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/evidence", { params: { path } })),
  });
  const upload = (file: File) =>
    void act(async () => {
      const url = `/api/v1/incidents/${incident.id}/evidence?name=${encodeURIComponent(file.name)}`;
      const answer = await fetch(url, {
        method: "POST",
        body: file,
        headers: { ...requestHeaders(), "content-type": file.type || "application/octet-stream" },
      });
      if (!answer.ok) throw new Problem(answer.status, await answer.json());
      return true;
    }, t("uploaded")).then(refresh);
  const verify = async (evidence: string, name: string) => {
    const answer = await act(() =>
      must(api.POST("/api/v1/incidents/{id}/evidence/{evidence}/verify", { params: { path: { ...path, evidence } } })),
    );
    if (answer) done(t(answer.intact ? "intact" : "damaged", { name }));
  };
  return (
    <Panel
      title={t("evidence")}
      aside={
        write && (
          <>
            <input
              ref={picker}
              type="file"
              hidden
              aria-label={t("upload")}
              onChange={(event) => event.target.files?.[0] && upload(event.target.files[0])}
            />
            <Button look="quiet" busy={busy} onClick={() => picker.current?.click()}>
              {t("upload")}
            </Button>
          </>
        )
      }
    >
      <Loaded query={query} rows={3}>
        {(data) => (
          <ul className="m-0 list-none p-0">
            {data.items.length === 0 && <Nothing>{t("noEvidence")}</Nothing>}
            {data.items.map((file) => (
              <li key={file.id} className="border-t border-line py-2.5 text-sm first:border-0">
                <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
                  <span className="min-w-0 flex-1 truncate font-medium">{file.name}</span>
                  <span className="num text-xs text-text-3">{format.bytes(file.size)}</span>
                  {!file.removed && (
                    <>
                      <Button look="quiet" className="!h-7" onClick={() => void verify(file.id, file.name)}>
                        {t("verify")}
                      </Button>
                      <a
                        className="text-xs font-medium text-accent"
                        href={`/api/v1/incidents/${incident.id}/evidence/${file.id}/content`}
                        download={file.name}
                      >
                        {t("download")}
                      </a>
                    </>
                  )}
                </div>
                <div className="mono mt-0.5 truncate text-xs text-text-3">{file.sha256}</div>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}

/** Others that share something with it, to look at or to merge. */
export function Related({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const refresh = useRefresh();
  const { act } = useAction();
  const [merging, setMerging] = useState<Incident | null>(null);
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "related", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/related", { params: { path } })),
  });
  return (
    <Panel title={t("related")}>
      <Loaded query={query} rows={3}>
        {(data) =>
          data.items.length === 0 ? (
            <Nothing>{t("noRelated")}</Nothing>
          ) : (
            <ul className="m-0 grid list-none gap-3 p-0 md:grid-cols-2">
              {data.items.map((other) => (
                <li key={other.incident.id} className="flex flex-col gap-2">
                  <IncidentCard incident={other.incident} />
                  <div className="flex items-center justify-between gap-2 text-xs text-text-3">
                    <span className="truncate">{t("shares", { things: other.shared.map(String).join(", ") })}</span>
                    {write && (
                      <Button look="quiet" className="!h-7" onClick={() => setMerging(other.incident)}>
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
      <Confirm
        open={merging !== null}
        onClose={() => setMerging(null)}
        title={t("mergeTitle", { number: merging?.number ?? 0 })}
        description={t("mergeHint")}
        action={t("merge")}
        onConfirm={async () => {
          if (!merging) return;
          await act(
            () =>
              must(
                api.POST("/api/v1/incidents/{id}/merge", {
                  params: { path },
                  body: { version: incident.version, from: [merging.id] },
                }),
              ),
            t("merged"),
          );
          refresh();
        }}
      />
    </Panel>
  );
}
