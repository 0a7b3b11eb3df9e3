import { CalendarOff } from "lucide-react";
import { type ReactNode, useMemo } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { Views } from "@/saved/views";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid, ListSearch } from "@/ui/list";
import { Empty } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { At } from "@/ui/time";
import { type EventClass, eventId, eventsQuery, filterOf, type HostEvent } from "./data";
import { ActivityMark, EventSheet, Subject } from "./event";
import type { TabProps } from "./page";
import { hostSearch } from "./search";
import { text } from "./strings";

/** The tools of a tab: what is searched and chosen at the left, what can be had of it at the right. */
export function TabTools({ children, tools }: { children: ReactNode; tools?: ReactNode }) {
  return (
    <div className="filter-row shrink-0 px-4 pb-3 pt-3 md:px-6">
      {children}
      {tools && <span className="ml-auto flex items-center gap-2">{tools}</span>}
    </div>
  );
}

/** The surface of a list within a tab; it scrolls by itself. */
export function TabPanel({ children }: { children: ReactNode }) {
  return (
    <div className="panel mx-3 mb-3 flex min-h-96 flex-1 shrink-0 flex-col overflow-hidden md:mx-6 md:mb-6">
      {children}
    </div>
  );
}

/** The saved views of a tab: what is searched and chosen there, on whichever host. */
export function TabViews({
  page,
  state,
  ids,
  choose,
  onChange,
}: {
  page: string;
  ids: ReadonlySet<string>;
  choose: (ids: string[]) => void;
} & Pick<TabProps, "state" | "onChange">) {
  const { q, only } = state;
  return (
    <Views
      page={page}
      search={{ ...(q ? { q } : {}), ...(only ? { only } : {}) }}
      ids={ids}
      choose={choose}
      onOpen={(view) => {
        const kept = hostSearch(view);
        onChange({ q: kept.q, only: kept.only, event: undefined });
      }}
    />
  );
}

/** Columns that every list of events begins with. */
export function useFirstColumns(): readonly Column<HostEvent>[] {
  const t = useText(text);
  return useMemo<readonly Column<HostEvent>[]>(
    () => [
      {
        id: "time",
        label: t("time"),
        width: 150,
        grow: 0,
        fixed: true,
        cell: (event) => (
          <span className="text-text-2">
            <At time={event.time} />
          </span>
        ),
        value: (event) => event.time,
      },
      {
        id: "activity",
        label: t("activity"),
        width: 150,
        grow: 0,
        cell: (event) => <ActivityMark event={event} />,
        value: (event) => event.activity ?? event.severity,
      },
    ],
    [t],
  );
}

/** A column with the text of a column of events. */
export function plain(id: string, label: string, more: Partial<Column<HostEvent>> = {}): Column<HostEvent> {
  return {
    id,
    label,
    width: 120,
    cell: (event) => {
      const value = event[id];
      return value === null || value === undefined || value === "" ? (
        <span className="text-text-3">–</span>
      ) : (
        String(value)
      );
    },
    value: (event) => event[id],
    ...more,
  };
}

export function EventCard({ event }: { event: HostEvent }) {
  return (
    <div className="flex h-full flex-col justify-between text-sm">
      <div className="flex items-center justify-between gap-3">
        <ActivityMark event={event} />
        <span className="text-xs text-text-3">
          <At time={event.time} />
        </span>
      </div>
      <span className="truncate">
        <Subject event={event} />
      </span>
    </div>
  );
}

/** What happened of one class, newest first. */
export function EventList({
  kind,
  label,
  columns,
  notable,
  own = [],
  before,
  host,
  state,
  stretch,
  onChange,
}: TabProps & {
  kind: EventClass;
  label: string;
  columns: readonly Column<HostEvent>[];
  /** The word for what deserves a look. */
  notable?: string | undefined;
  /** Conditions that hold here whatever is searched. */
  own?: readonly string[];
  /** Stands before the search: another way to look at it. */
  before?: ReactNode;
}) {
  const t = useText(text);
  const filter = filterOf(kind, state, ...own);
  const query = eventsQuery(host.id, stretch, { class: kind, ...(filter ? { filter } : {}) });
  const list = useRows(query);
  const { shown, ids, choose } = useColumns(`host-${kind}`, columns);
  const open = list.rows.find((event) => eventId(event) === state.event);
  return (
    <>
      <TabTools
        tools={
          <>
            <TabViews page={`host-${kind}`} state={state} ids={ids} choose={choose} onChange={onChange} />
            <ExportMenu name={`${host.name}-${kind}`} columns={columns} pages={() => allPages(query)} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
          </>
        }
      >
        {before}
        <ListSearch label={t("searchIn")} value={state.q} onSearch={(q) => onChange({ q })} />
        {notable && (
          <Segmented
            label={t("show")}
            value={state.only ?? "all"}
            onChange={(next) => onChange({ only: next === "all" ? undefined : next })}
            tabs={[
              { value: "all", label: t("everything") },
              { value: "notable", label: notable },
            ]}
          />
        )}
      </TabTools>
      <TabPanel>
        <ListGrid
          list={list}
          label={label}
          columns={shown}
          rowId={eventId}
          onOpen={(event) => onChange({ event: eventId(event) })}
          card={(event) => <EventCard event={event} />}
          cardHeight={68}
          empty={
            <Empty icon={CalendarOff} title={t("nothing")}>
              {t("nothingHint")}
            </Empty>
          }
        />
      </TabPanel>
      <EventSheet event={open} onClose={() => onChange({ event: undefined })} />
    </>
  );
}
