import { useQuery } from "@tanstack/react-query";
import { FilterX } from "lucide-react";
import { useText } from "@/app/preferences";
import { hostCountQuery, hostFiguresQuery } from "@/pages/hosts/data";
import { text as hosts } from "@/pages/hosts/strings";
import { Button } from "@/ui/button";
import { type Option, Select } from "@/ui/form";
import { ListSearch } from "@/ui/list";
import { Segmented } from "@/ui/tabs";
import { chosenIds } from "./data";
import { ASKED_STATUSES, type LiveQuerySearch } from "./search";
import { text } from "./strings";

const ANY = "\u0000any";

/** How many hosts the address means; undefined until it is known. */
export function useTargetCount(state: LiveQuerySearch): number | undefined {
  const ids = chosenIds(state);
  const { q, status, tag, group, version } = state;
  const count = useQuery({ ...hostCountQuery({ q, status, tag, group, version }), enabled: ids.length === 0 });
  return ids.length > 0 ? ids.length : count.data;
}

/** Chooses the hosts that are asked: those that came along, or those with something in common. */
export function ChooseTargets({
  state,
  onChange,
}: {
  state: LiveQuerySearch;
  onChange: (part: Partial<LiveQuerySearch>) => void;
}) {
  const t = useText(text);
  const h = useText(hosts);
  const figures = useQuery(hostFiguresQuery);
  const ids = chosenIds(state);
  if (ids.length > 0) {
    return (
      <Button look="quiet" icon={FilterX} onClick={() => onChange({ hosts: undefined })}>
        {t("chosen", { n: ids.length })} · {t("unchoose")}
      </Button>
    );
  }
  const counted = (counts: Record<string, number> | undefined, any: string, chosen: string | undefined) => {
    const names = Object.keys(counts ?? {});
    const all = chosen && !names.includes(chosen) ? [...names, chosen] : names;
    const options = all.map<Option<string>>((name) => ({
      value: name,
      label: h("counted", { name, n: counts?.[name] ?? 0 }),
    }));
    return [{ value: ANY, label: any }, ...options];
  };
  const pick = (name: "tag" | "group") => (value: string) => onChange({ [name]: value === ANY ? undefined : value });
  return (
    <>
      <ListSearch label={h("search")} value={state.q} onSearch={(q) => onChange({ q })} />
      <Segmented
        label={h("status")}
        value={state.status ?? "all"}
        onChange={(status) => onChange({ status: status === "all" ? undefined : status })}
        tabs={(["all", ...ASKED_STATUSES] as const).map((value) => ({ value, label: h(value) }))}
      />
      <Select
        label={h("tag")}
        value={state.tag ?? ANY}
        onChange={pick("tag")}
        options={counted(figures.data?.tags, h("anyTag"), state.tag)}
      />
      <Select
        label={h("group")}
        value={state.group ?? ANY}
        onChange={pick("group")}
        options={counted(figures.data?.groups, h("anyGroup"), state.group)}
      />
      {state.version && (
        <Button look="quiet" icon={FilterX} onClick={() => onChange({ version: undefined })}>
          {h("version")}: {state.version}
        </Button>
      )}
    </>
  );
}
