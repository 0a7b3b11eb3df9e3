import { useQuery } from "@tanstack/react-query";
import { Boxes, FileDown, SearchX } from "lucide-react";
import { useMemo, useState } from "react";
import { useRows } from "@/api/list";
import { useAction } from "@/app/action";
import { fetchFile } from "@/app/fetch-file";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import type { Host } from "@/pages/hosts/data";
import { IconButton } from "@/ui/button";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ListGrid, ListSearch } from "@/ui/list";
import { Dialog } from "@/ui/overlay";
import { Facts } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { TabPanel, TabTools } from "../events";
import type { TabProps } from "../page";
import { text as page } from "../strings";
import { useMemberName, Value } from "./cell";
import { Changes } from "./changes";
import { type Entry, entriesQuery, inOrder, LISTS, type ListView, listsQuery, membersOf } from "./lists";
import { text } from "./strings";

/** What a host has, list by list: as it is, and how it came to be so. */
export function Inventory(props: TabProps) {
  const t = useText(text);
  const query = useQuery(listsQuery(props.host.id));
  return (
    <Loaded query={query} rows={10}>
      {(lists) => {
        const all = inOrder(lists);
        const chosen = all.find(({ list }) => list === props.state.list) ?? all[0];
        if (!chosen) {
          return (
            <Empty icon={Boxes} title={t("none")}>
              {t("noneHint")}
            </Empty>
          );
        }
        return <Known key={chosen.list} {...props} lists={all} chosen={chosen} />;
      }}
    </Loaded>
  );
}

function useListName(): (list: string) => string {
  const t = useText(text);
  return (list) => {
    const key = `list_${list}`;
    return key in text ? t(key as "list_packages") : list;
  };
}

function useEntryColumns(list: string, entries: readonly Entry[]): readonly Column<Entry>[] {
  const name = useMemberName();
  // The columns are those of the first page, so that they stay where they are while more is loaded.
  const first = entries.slice(0, 500);
  const members = membersOf(list, first).join(" ");
  return useMemo(() => {
    const usual = LISTS[list] ?? [];
    return (members ? members.split(" ") : []).map((member, index) => ({
      id: member,
      label: name(member),
      width: index === 0 ? 180 : member.endsWith("_line") || member === "description" ? 240 : 120,
      grow: index === 0 ? 2 : 1,
      fixed: index === 0,
      hidden: usual.length > 0 && !usual.includes(member),
      cell: (entry: Entry) => (
        <span className={index === 0 ? "font-medium" : undefined}>
          <Value member={member} value={entry[member]} />
        </span>
      ),
    }));
  }, [list, members, name]);
}

function Known({ lists, chosen, host, state, onChange }: TabProps & { lists: readonly ListView[]; chosen: ListView }) {
  const t = useText(text);
  const p = useText(page);
  const format = useFormat();
  const name = useListName();
  const changes = state.show === "changes";
  return (
    <>
      <TabTools tools={!changes && <Export host={host} list={chosen.list} />}>
        <Select
          label={t("list")}
          value={chosen.list}
          onChange={(list) => onChange({ list, q: undefined })}
          options={lists.map(({ list, entries }) => ({
            value: list,
            label: `${name(list)} (${format.number(entries)})`,
          }))}
        />
        <Segmented
          label={t("how")}
          value={changes ? "changes" : "now"}
          onChange={(next) => onChange({ show: next === "changes" ? "changes" : undefined })}
          tabs={[
            { value: "now", label: t("asItIs") },
            { value: "changes", label: t("changes") },
          ]}
        />
        {!changes && <ListSearch label={p("searchIn")} value={state.q} onSearch={(q) => onChange({ q })} />}
        <span className="text-xs text-text-3">{t("read", { when: format.ago(chosen.read) })}</span>
      </TabTools>
      <TabPanel>
        {changes ? (
          <Changes host={host.id} list={chosen.list} />
        ) : (
          <Entries host={host} chosen={chosen} search={state.q} />
        )}
      </TabPanel>
    </>
  );
}

function Export({ host, list }: { host: Host; list: string }) {
  const t = useText(text);
  const { busy, act } = useAction();
  const url = `/api/v1/hosts/${host.id}/inventory/${list}/export`;
  return (
    <IconButton
      label={t("csv")}
      icon={FileDown}
      look="plain"
      busy={busy}
      onClick={() => void act(() => fetchFile(url, `${host.name}-${list}.csv`))}
    />
  );
}

function Entries({ host, chosen, search }: { host: Host; chosen: ListView; search: string | undefined }) {
  const t = useText(text);
  const name = useListName();
  const member = useMemberName();
  const list = useRows(entriesQuery(host.id, chosen, search));
  const columns = useEntryColumns(chosen.list, list.rows);
  const { shown, ids, choose } = useColumns(`inventory-${chosen.list}`, columns);
  const [open, setOpen] = useState<Entry | null>(null);
  const first = columns[0]?.id ?? "name";
  const second = columns[1]?.id ?? "version";
  return (
    <>
      <div className="flex items-center justify-end border-b border-line px-2 py-1">
        <ColumnsMenu all={columns} ids={ids} choose={choose} />
      </div>
      <ListGrid
        list={list}
        label={name(chosen.list)}
        columns={shown}
        rowId={(entry) => JSON.stringify(entry)}
        total={search ? undefined : chosen.entries}
        onOpen={setOpen}
        cardHeight={64}
        card={(entry) => (
          <div className="flex h-full flex-col justify-between text-sm">
            <span className="truncate font-medium">
              <Value member={first} value={entry[first]} />
            </span>
            <span className="truncate text-xs text-text-2">
              <Value member={second} value={entry[second]} />
            </span>
          </div>
        )}
        empty={<Empty icon={search ? SearchX : Boxes} title={t(search ? "noneFound" : "empty")} />}
      />
      <Dialog open={open !== null} onClose={() => setOpen(null)} title={t("entry")} sheet>
        {open && (
          <Facts
            items={membersOf(chosen.list, [open]).map((one) => [
              member(one),
              <Value key={one} member={one} value={open[one]} />,
            ])}
          />
        )}
      </Dialog>
    </>
  );
}
