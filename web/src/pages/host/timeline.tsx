import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import {
  Bell,
  CalendarOff,
  Cpu,
  FilePen,
  LogIn,
  type LucideIcon,
  Network as NetworkIcon,
  ScrollText,
} from "lucide-react";
import { useMemo } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { Bars } from "@/charts/bars";
import { SeverityMark } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid } from "@/ui/list";
import { Empty, Loaded } from "@/ui/state";
import { At } from "@/ui/time";
import { activityQuery, CLASSES, type EventClass, eventId, eventsQuery, type HostEvent, hostAlertsQuery } from "./data";
import { ActivityMark, EventSheet, Subject } from "./event";
import { EventCard, TabPanel, TabTools } from "./events";
import { type Moment, merged, momentId } from "./merge";
import type { TabProps } from "./page";
import { text } from "./strings";
import { subjectOf } from "./told";

const ICONS: Record<EventClass, LucideIcon> = {
  processes: Cpu,
  connections: NetworkIcon,
  files: FilePen,
  logins: LogIn,
  logs: ScrollText,
};
const FILLS = ["var(--accent)", "var(--low-fill)", "var(--medium-fill)", "var(--high-fill)", "var(--info-fill)"];
const NAMES = {
  processes: "processes",
  connections: "connections",
  files: "files",
  logins: "logins",
  logs: "logs",
} as const;

/** How much happened, by kind; dragging looks closer. */
function Volume({ host, stretch, onBrush }: TabProps) {
  const t = useText(text);
  const query = useQuery(activityQuery(host.id, stretch));
  return (
    <div className="mx-3 mt-3 shrink-0 md:mx-6">
      <div className="panel px-4 pb-2 pt-3">
        <Loaded query={query} rows={3}>
          {(activity) => (
            <>
              <div className="mb-2 flex flex-wrap gap-x-4 gap-y-1 text-xs text-text-3">
                {CLASSES.map((name, index) => (
                  <span key={name} className="flex items-center gap-1.5">
                    <span className="size-2 rounded-[2px]" style={{ background: FILLS[index] }} />
                    {t(NAMES[name])} <span className="num">{activity.totals[name] ?? 0}</span>
                  </span>
                ))}
              </div>
              <Bars
                label={t("happened")}
                from={Date.parse(activity.from)}
                to={Date.parse(activity.to)}
                stepMs={activity.step_seconds * 1000}
                fills={FILLS}
                names={CLASSES.map((name) => t(NAMES[name]))}
                height={84}
                bars={activity.steps.map((step) => ({
                  start: Date.parse(step.start),
                  parts: CLASSES.map((name) => step.events[name] ?? 0),
                }))}
                onBrush={onBrush}
              />
            </>
          )}
        </Loaded>
      </div>
    </div>
  );
}

function useMoments(): readonly Column<Moment>[] {
  const t = useText(text);
  return useMemo<readonly Column<Moment>[]>(
    () => [
      {
        id: "time",
        label: t("time"),
        width: 150,
        grow: 0,
        cell: ({ time }) => (
          <span className="text-text-2">
            <At time={time} />
          </span>
        ),
        value: ({ time }) => time,
      },
      {
        id: "class",
        label: t("clazz"),
        width: 138,
        grow: 0,
        cell: (moment) => {
          const Icon = moment.event ? ICONS[moment.event.class] : Bell;
          return (
            <span className="flex items-center gap-2 text-text-2">
              <Icon aria-hidden size={14} className="shrink-0 text-text-3" />
              {moment.event ? t(NAMES[moment.event.class]) : t("alert")}
            </span>
          );
        },
        value: (moment) => moment.event?.class ?? "alert",
      },
      {
        id: "activity",
        label: t("activity"),
        width: 150,
        grow: 0,
        cell: (moment) =>
          moment.event ? <ActivityMark event={moment.event} /> : <SeverityMark severity={moment.alert.severity} />,
        value: (moment) => moment.event?.activity ?? moment.alert?.severity,
      },
      {
        id: "what",
        label: t("what"),
        width: 260,
        grow: 4,
        cell: (moment) =>
          moment.event ? (
            <Subject event={moment.event} />
          ) : (
            <Link
              to="/alerts/$id"
              params={{ id: moment.alert.id }}
              className="font-medium text-text no-underline hover:text-accent"
            >
              {moment.alert.title}: {moment.alert.summary}
            </Link>
          ),
        value: (moment) => (moment.event ? subjectOf(moment.event) : moment.alert.summary),
      },
    ],
    [t],
  );
}

/** Everything that happened on the machine and that was said about it, in one order. */
export function Timeline(props: TabProps) {
  const { host, state, stretch, onChange } = props;
  const t = useText(text);
  const query = eventsQuery(host.id, stretch, {});
  const list = useRows(query);
  const alerts = useQuery({ ...hostAlertsQuery(host.name, stretch), enabled: useCan("alerts:read") });
  const rows = useMemo(
    () => merged(list.rows, alerts.data ?? [], list.complete),
    [list.rows, list.complete, alerts.data],
  );
  const columns = useMoments();
  const open = list.rows.find((event: HostEvent) => eventId(event) === state.event);
  const every = async function* () {
    for await (const page of allPages(query)) yield merged(page, [], true);
  };
  return (
    <>
      <Volume {...props} />
      <TabTools tools={<ExportMenu name={`${host.name}-timeline`} columns={columns} pages={every} />}>
        <span className="text-sm text-text-3">{t("timelineHint")}</span>
      </TabTools>
      <TabPanel>
        <ListGrid
          list={{ ...list, rows }}
          label={t("timeline")}
          columns={columns}
          rowId={momentId}
          onOpen={(moment) => moment.event && onChange({ event: eventId(moment.event) })}
          card={(moment) =>
            moment.event ? (
              <EventCard event={moment.event} />
            ) : (
              <div className="flex h-full flex-col justify-between text-sm">
                <div className="flex items-center justify-between gap-3">
                  <SeverityMark severity={moment.alert.severity} />
                  <span className="text-xs text-text-3">
                    <At time={moment.time} />
                  </span>
                </div>
                <Link
                  to="/alerts/$id"
                  params={{ id: moment.alert.id }}
                  className="truncate font-medium text-text no-underline"
                >
                  {moment.alert.title}
                </Link>
              </div>
            )
          }
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
