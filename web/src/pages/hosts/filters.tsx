import { useText } from "@/app/preferences";
import { type Option, Select } from "@/ui/form";
import { ListSearch } from "@/ui/list";
import { Segmented } from "@/ui/tabs";
import type { HostFigures } from "./data";
import { type HostsSearch, STATUSES } from "./search";
import { text } from "./strings";

const ANY = "\u0000any";

/** The filters that one reaches for most; what there is to choose comes with how many have it. */
export function Filters({
  state,
  figures,
  onChange,
}: {
  state: HostsSearch;
  figures: HostFigures | undefined;
  onChange: (part: Partial<HostsSearch>) => void;
}) {
  const t = useText(text);
  const counted = (counts: Record<string, number> | undefined, any: string, chosen: string | undefined) => {
    const names = Object.keys(counts ?? {});
    const all = chosen && !names.includes(chosen) ? [...names, chosen] : names;
    const options = all.map<Option<string>>((name) => ({
      value: name,
      label: t("counted", { name, n: counts?.[name] ?? 0 }),
    }));
    return [{ value: ANY, label: any }, ...options];
  };
  const pick = (name: "tag" | "group" | "version") => (value: string) =>
    onChange({ [name]: value === ANY ? undefined : value });
  const troubles = figures?.troubles ?? {};
  return (
    <>
      <ListSearch label={t("search")} value={state.q} onSearch={(q) => onChange({ q })} />
      <Segmented
        label={t("status")}
        value={state.status ?? "all"}
        onChange={(status) => onChange({ status: status === "all" ? undefined : status })}
        tabs={(["all", ...STATUSES] as const).map((value) => ({ value, label: t(value) }))}
      />
      <Select
        label={t("trouble")}
        value={state.trouble ?? "none"}
        onChange={(trouble) => onChange({ trouble: trouble === "none" ? undefined : trouble })}
        options={[
          { value: "none" as const, label: t("anyTrouble") },
          { value: "any" as const, label: t("troubled", { n: troubles.any ?? 0 }) },
          { value: "complaints" as const, label: t("complaining", { n: troubles.complaints ?? 0 }) },
          { value: "lost" as const, label: t("losing", { n: troubles.lost ?? 0 }) },
        ]}
      />
      <Select
        label={t("tag")}
        value={state.tag ?? ANY}
        onChange={pick("tag")}
        options={counted(figures?.tags, t("anyTag"), state.tag)}
      />
      <Select
        label={t("group")}
        value={state.group ?? ANY}
        onChange={pick("group")}
        options={counted(figures?.groups, t("anyGroup"), state.group)}
      />
      <Select
        label={t("version")}
        value={state.version ?? ANY}
        onChange={pick("version")}
        options={counted(figures?.agent_versions, t("anyVersion"), state.version)}
      />
    </>
  );
}
