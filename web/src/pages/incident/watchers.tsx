import { useQuery } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { peopleQuery } from "@/app/people";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { IconButton } from "@/ui/button";
import { Menu, MenuItem } from "@/ui/menu";
import { Panel } from "@/ui/panel";

/** Who is told of changes. */
export function Watchers({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const people = useQuery({ ...peopleQuery, enabled: write });
  const refresh = useFreshen("incidents");
  const { act } = useAction();
  const set = (user: string, watches: boolean) => {
    const params = { path: { id: incident.id, user } };
    const done = () =>
      watches
        ? must(api.PUT("/api/v1/incidents/{id}/watchers/{user}", { params }))
        : must(api.DELETE("/api/v1/incidents/{id}/watchers/{user}", { params }));
    void act(() => done().then(() => true)).then(refresh);
  };
  const others = (people.data?.items ?? []).filter(
    (person) => !incident.watchers.some((watcher) => watcher.id === person.id),
  );
  if (!write && incident.watchers.length === 0) return null;
  return (
    <Panel
      title={t("watchers")}
      aside={
        write &&
        others.length > 0 && (
          <Menu trigger={<IconButton label={t("watcherAdd")} icon={Plus} />}>
            {others.map((person) => (
              <MenuItem key={person.id} onSelect={() => set(person.id, true)}>
                {person.display_name || person.name}
              </MenuItem>
            ))}
          </Menu>
        )
      }
    >
      <ul className="m-0 flex list-none flex-wrap gap-1.5 p-0 text-sm">
        {incident.watchers.length === 0 && <li className="text-text-3">{t("nobody")}</li>}
        {incident.watchers.map((person) => (
          <li key={person.id} className="flex h-7 items-center gap-1 rounded-m border border-line bg-sunken pl-2 pr-1">
            {person.name}
            {write && (
              <button
                type="button"
                aria-label={t("watcherRemove", { name: person.name })}
                onClick={() => set(person.id, false)}
                className="flex size-5 items-center justify-center rounded-s text-text-3 hover:bg-hover hover:text-text"
              >
                <X aria-hidden size={12} />
              </button>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
