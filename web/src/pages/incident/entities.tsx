import { useQuery } from "@tanstack/react-query";
import { PencilLine, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { EntityLink } from "@/app/entity-link";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { text as entities } from "@/pages/entity/strings";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Field, Input, Select, Switch } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Ago } from "@/ui/time";
import { Nothing } from "./nothing";

type Entity = Schema<"EntityView">;
const KINDS = ["ip", "host", "user", "domain", "hash", "url", "email", "file", "other"] as const;

/** Addresses, hosts, people and other things that it is about. */
export function Entities({ incident }: { incident: Incident }) {
  const t = useText(text);
  const u = useText(ui);
  const e = useText(entities);
  const write = useCan("incidents:write");
  const refresh = useFreshen("incidents");
  const { act } = useAction();
  const [editing, setEditing] = useState<Entity | null>(null);
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "entities", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/entities", { params: { path } })),
  });
  const remove = (entity: Entity) => {
    const params = { path: { ...path, entity: entity.id } };
    const gone = () => must(api.DELETE("/api/v1/incidents/{id}/entities/{entity}", { params })).then(() => true);
    void act(gone, t("deleted")).then(refresh);
  };
  return (
    <Panel title={t("entities")}>
      <Loaded query={query} rows={3}>
        {(data) => (
          <ul className="m-0 list-none p-0">
            {data.items.length === 0 && (
              <li>
                <Nothing>{t("noEntities")}</Nothing>
              </li>
            )}
            {data.items.map((entity) => (
              <li
                key={entity.id}
                className="flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line py-2 text-sm first:border-0"
              >
                <Badge className="w-18 justify-center">
                  {e(KINDS.find((kind) => kind === entity.kind) ?? "other")}
                </Badge>
                <span className="min-w-0 flex-1 basis-40 break-all">
                  <EntityLink kind={entity.kind} value={entity.value} className="!whitespace-normal" />
                  {entity.note && <span className="block truncate text-xs text-text-2">{entity.note}</span>}
                </span>
                {entity.role && <Badge>{entity.role}</Badge>}
                {entity.indicator && <Badge tone="critical">{t("indicator")}</Badge>}
                {entity.alerts > 0 && (
                  <span className="num text-xs text-text-3">{`${t("alerts")}: ${entity.alerts}`}</span>
                )}
                {entity.last_seen && (
                  <span className="text-xs text-text-3">
                    <Ago time={entity.last_seen} />
                  </span>
                )}
                {write && (
                  <span className="-mr-1.5 flex max-sm:ml-auto">
                    <IconButton
                      label={`${u("edit")}: ${entity.value}`}
                      icon={PencilLine}
                      className="!h-7 !w-7"
                      onClick={() => setEditing(entity)}
                    />
                    <IconButton
                      label={t("entityDelete", { value: entity.value })}
                      icon={Trash2}
                      className="!h-7 !w-7"
                      onClick={() => remove(entity)}
                    />
                  </span>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {write && <Add incident={incident} />}
      <Dialog
        open={editing !== null}
        onClose={() => setEditing(null)}
        title={t("entityEdit")}
        description={<span className="mono">{editing?.value}</span>}
      >
        {editing && <Edit key={editing.id} incident={incident} entity={editing} onClose={() => setEditing(null)} />}
      </Dialog>
    </Panel>
  );
}

function Add({ incident }: { incident: Incident }) {
  const t = useText(text);
  const e = useText(entities);
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const [kind, setKind] = useState<(typeof KINDS)[number]>("ip");
  const [value, setValue] = useState("");
  const add = async (event: FormEvent) => {
    event.preventDefault();
    const params = { path: { id: incident.id } };
    const made = await act(() => must(api.POST("/api/v1/incidents/{id}/entities", { params, body: { kind, value } })));
    if (made) setValue("");
    refresh();
  };
  return (
    <form onSubmit={add} className="mt-3 flex flex-wrap gap-2">
      <Select
        label={t("kind")}
        value={kind}
        onChange={setKind}
        options={KINDS.map((option) => ({ value: option, label: e(option) }))}
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
  );
}

function Edit({ incident, entity, onClose }: { incident: Incident; entity: Entity; onClose: () => void }) {
  const t = useText(text);
  const u = useText(ui);
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const [role, setRole] = useState(entity.role);
  const [note, setNote] = useState(entity.note);
  const [indicator, setIndicator] = useState(entity.indicator);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const params = { path: { id: incident.id, entity: entity.id } };
    const body = { version: entity.version, role, note, indicator };
    const saved = await act(
      () => must(api.PATCH("/api/v1/incidents/{id}/entities/{entity}", { params, body })),
      t("saved"),
    );
    refresh();
    if (saved) onClose();
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      <Field label={t("role")}>
        {(ids) => <Input {...ids} value={role} onChange={(event) => setRole(event.target.value)} />}
      </Field>
      <Field label={t("note")}>
        {(ids) => <Input {...ids} value={note} onChange={(event) => setNote(event.target.value)} />}
      </Field>
      <div className="flex items-center justify-between gap-3">
        <span className="flex items-center gap-3 text-sm">
          <Switch label={t("indicator")} checked={indicator} onChange={setIndicator} /> {t("indicator")}
        </span>
        <Button type="submit" look="primary" busy={busy}>
          {u("save")}
        </Button>
      </div>
    </form>
  );
}
