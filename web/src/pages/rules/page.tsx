import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { FolderInput, Grid3x3, Plus, Radar } from "lucide-react";
import { useMemo, useState } from "react";
import { useAction } from "@/app/action";
import { fetchFile } from "@/app/fetch-file";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { Views } from "@/saved/views";
import { IconButton, LinkButton } from "@/ui/button";
import { Select } from "@/ui/form";
import { NOTHING, type Selection } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { ListFrame, ListSearch } from "@/ui/list";
import { Menu, MenuItem } from "@/ui/menu";
import { Empty, Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { RuleBulk } from "./bulk";
import { RuleCard, useRuleColumns } from "./columns";
import { alertsByRuleQuery, chosenRules, rulesQuery } from "./data";
import { ImportRules } from "./import";
import { type RulesSearch, rulesSearch } from "./search";
import { text } from "./strings";

const NONE: ReadonlyMap<string, number> = new Map();

export default function RulesPage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/rules" });
  const navigate = useNavigate({ from: "/rules" });
  const write = useCan("rules:write");
  const query = useQuery(rulesQuery);
  const [importing, setImporting] = useState(false);
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const change = (part: Partial<RulesSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const alerts = useQuery({ ...alertsByRuleQuery, enabled: useCan("alerts:read") }).data;
  const columns = useRuleColumns(alerts);
  const { shown, ids, choose } = useColumns("rules", columns);
  const all = query.data?.items ?? [];
  const rows = useMemo(() => chosenRules(query.data?.items ?? [], state, alerts ?? NONE), [query.data, state, alerts]);
  return (
    <ListFrame
      title={t("title")}
      detail={query.data && t("summary", { enabled: all.filter((rule) => rule.enabled).length, total: all.length })}
      tools={
        <>
          <LinkButton icon={Grid3x3} to="/coverage">
            {t("coverage")}
          </LinkButton>
          <FilesMenu onImport={() => setImporting(true)} />
          <Views
            page="rules"
            search={state}
            ids={ids}
            choose={choose}
            onOpen={(view) => void navigate({ search: rulesSearch(view), replace: true })}
          />
          <ExportMenu name="rules" columns={columns} pages={() => [rows]} />
          <ColumnsMenu all={columns} ids={ids} choose={choose} />
          {write && (
            <LinkButton look="primary" icon={Plus} to="/rules/$id" params={{ id: "new" }}>
              {t("newRule")}
            </LinkButton>
          )}
        </>
      }
      filters={
        <>
          <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
          <Segmented
            label={t("state")}
            value={state.state ?? "all"}
            onChange={(next) => change({ state: next === "all" ? undefined : next })}
            tabs={(["all", "enabled", "disabled", "broken"] as const).map((value) => ({ value, label: t(value) }))}
          />
          <Select
            label={t("origin")}
            value={state.origin ?? "any"}
            onChange={(next) => change({ origin: next === "any" ? undefined : next })}
            options={[
              { value: "any" as const, label: t("anyOrigin") },
              { value: "shipped" as const, label: t("shipped") },
              { value: "custom" as const, label: t("custom") },
            ]}
          />
        </>
      }
      above={<RuleBulk selection={selection} rows={rows} onSelect={setSelection} />}
    >
      <Loaded query={query} rows={12}>
        {() => (
          <Grid
            label={t("title")}
            columns={shown}
            rows={rows}
            rowId={(rule) => rule.id}
            sort={state.sort ?? "-title"}
            onSort={(sort) => change({ sort })}
            selection={selection}
            onSelect={setSelection}
            onOpen={(rule) => void navigate({ to: "/rules/$id", params: { id: rule.id } })}
            card={(rule) => <RuleCard rule={rule} alerts={alerts && (alerts.get(rule.id) ?? 0)} />}
            empty={
              <Empty icon={Radar} title={t("none")}>
                {t("noneHint")}
              </Empty>
            }
          />
        )}
      </Loaded>
      <ImportRules open={importing} onClose={() => setImporting(false)} />
    </ListFrame>
  );
}

/** Rules as files: in, and out again. */
function FilesMenu({ onImport }: { onImport: () => void }) {
  const t = useText(text);
  const write = useCan("rules:write");
  const { act } = useAction();
  const save = (origin: "all" | "custom") =>
    void act(() => fetchFile(`/api/v1/rules/export?origin=${origin}`, "guardian-rules.zip"));
  return (
    <Menu trigger={<IconButton label={t("files")} icon={FolderInput} look="plain" />}>
      {write && <MenuItem onSelect={onImport}>{t("importTitle")}</MenuItem>}
      <MenuItem onSelect={() => save("all")}>{t("exportZip")}</MenuItem>
      <MenuItem onSelect={() => save("custom")}>{t("exportOwn")}</MenuItem>
    </Menu>
  );
}
