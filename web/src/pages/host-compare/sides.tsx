import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { X } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { useSlowText } from "@/app/slow-text";
import { hostFiguresQuery, hostQuery } from "@/pages/hosts/data";
import { HostStatus } from "@/pages/hosts/parts";
import { IconButton } from "@/ui/button";
import { SearchBox, Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import type { Sides } from "./data";
import { HOSTS_MAX } from "./search";
import { text } from "./strings";

function Side({ id, onRemove }: { id: string; onRemove: () => void }) {
  const t = useText(text);
  const host = useQuery(hostQuery(id));
  const name = host.data?.name ?? id;
  return (
    <li className="flex min-w-0 items-center gap-2 rounded-m border border-line py-0.5 pl-2.5">
      <Link
        to="/hosts/$id"
        params={{ id }}
        className="min-w-0 truncate text-sm font-medium text-text no-underline hover:text-accent"
      >
        {name}
      </Link>
      {host.data && <HostStatus status={host.data.status} />}
      <IconButton label={t("remove", { name })} icon={X} size={14} onClick={onRemove} />
    </li>
  );
}

/** A search for one more host. */
function Add({ ids, onAdd }: { ids: readonly string[]; onAdd: (id: string) => void }) {
  const t = useText(text);
  const [asked, setAsked] = useState("");
  const [typed, setTyped] = useSlowText(asked, setAsked);
  const wanted = asked !== "" || ids.length < 2;
  const found = useQuery({
    queryKey: ["hosts", "choose", asked],
    queryFn: () => must(api.GET("/api/v1/hosts", { params: { query: { search: asked, limit: 16 } } })),
    enabled: wanted,
  });
  const others = (found.data?.items ?? []).filter(({ id }) => !ids.includes(id)).slice(0, 8);
  return (
    <div className="flex w-full flex-col gap-2 sm:w-72">
      <SearchBox label={t("add")} value={typed} onChange={(event) => setTyped(event.target.value)} />
      {wanted && others.length > 0 && (
        <ul className="m-0 list-none p-0">
          {others.map((one) => (
            <li key={one.id}>
              <button
                type="button"
                onClick={() => {
                  setTyped("");
                  setAsked("");
                  onAdd(one.id);
                }}
                className="flex w-full items-center justify-between gap-3 rounded-s px-2 py-1.5 text-left text-sm hover:bg-hover"
              >
                <span className="truncate font-medium">{one.name}</span>
                <HostStatus status={one.status} />
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** Whom to compare: hosts, and a group beside them. */
export function Chosen({ who, onChange }: { who: Sides; onChange: (who: Sides) => void }) {
  const t = useText(text);
  const figures = useQuery(hostFiguresQuery);
  const groups = Object.keys(figures.data?.groups ?? {});
  const offered = who.group && !groups.includes(who.group) ? [who.group, ...groups] : groups;
  return (
    <Panel label={t("hosts")}>
      <div className="flex flex-wrap items-start gap-3">
        {who.ids.length > 0 && (
          <ul className="m-0 flex min-w-0 list-none flex-wrap gap-2 p-0">
            {who.ids.map((id) => (
              <Side
                key={id}
                id={id}
                onRemove={() => onChange({ ...who, ids: who.ids.filter((other) => other !== id) })}
              />
            ))}
          </ul>
        )}
        {who.ids.length < HOSTS_MAX && (
          <Add ids={who.ids} onAdd={(id) => onChange({ ...who, ids: [...who.ids, id] })} />
        )}
        {offered.length > 0 && (
          <Select
            label={t("group")}
            prefix={t("group")}
            value={who.group ?? ""}
            onChange={(group) => onChange({ ...who, group: group || undefined })}
            options={[{ value: "", label: t("noGroup") }, ...offered.map((name) => ({ value: name, label: name }))]}
          />
        )}
      </div>
    </Panel>
  );
}
