import { useQuery } from "@tanstack/react-query";
import { Layers } from "lucide-react";
import { useMemo } from "react";
import type { Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { SeverityMark } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { Grid } from "@/ui/grid/grid";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { alertGroupsQuery } from "./data";
import type { AlertSearch, GROUPINGS } from "./search";
import { text } from "./strings";

type Group = Schema<"GroupView">;
type By = (typeof GROUPINGS)[number];

/** The filter that opens one group. */
function opened(by: By, group: Group): Partial<AlertSearch> {
  if (by === "incident") return { incident: group.value ?? "none", group: undefined };
  return { [by]: group.value ?? undefined, group: undefined };
}

/** What matches, gathered by rule, entity or incident, worst first; a click opens a group. */
export function Groups({
  state,
  by,
  onOpen,
}: {
  state: AlertSearch;
  by: By;
  onOpen: (part: Partial<AlertSearch>) => void;
}) {
  const t = useText(text);
  const format = useFormat();
  const query = useQuery(alertGroupsQuery(state, by));
  const columns = useMemo<readonly Column<Group>[]>(
    () => [
      {
        id: "severity",
        label: t("columnSeverity"),
        width: 104,
        grow: 0,
        cell: (group) => <SeverityMark severity={group.severity} />,
      },
      {
        id: "label",
        label: t(by),
        width: 240,
        grow: 3,
        cell: (group) => (
          <button
            type="button"
            className="max-w-full truncate text-left font-medium hover:text-accent"
            onClick={() => onOpen(opened(by, group))}
          >
            {group.label || t("noIncident")}
          </button>
        ),
      },
      { id: "open", label: t("open"), width: 90, grow: 0, end: true, cell: (group) => format.number(group.open) },
      { id: "count", label: t("title"), width: 90, grow: 0, end: true, cell: (group) => format.number(group.count) },
      {
        id: "first",
        label: t("columnFirst"),
        width: 120,
        grow: 0,
        end: true,
        cell: (group) => <Ago time={group.first_seen} />,
      },
      {
        id: "last",
        label: t("columnLast"),
        width: 120,
        grow: 0,
        end: true,
        cell: (group) => <Ago time={group.last_seen} />,
      },
    ],
    [t, format, by, onOpen],
  );
  return (
    <Loaded query={query} rows={10}>
      {(data) => (
        <Grid
          label={t("groupBy", { by: t(by) })}
          columns={columns}
          rows={data.items}
          rowId={(group) => group.value ?? "none"}
          onOpen={(group) => onOpen(opened(by, group))}
          cardHeight={72}
          card={(group) => (
            <div className="flex h-full flex-col justify-between">
              <span className="truncate font-medium">{group.label || t("noIncident")}</span>
              <span className="flex items-center justify-between text-xs text-text-3">
                <SeverityMark severity={group.severity} />
                <span className="num">{format.number(group.count)}</span>
              </span>
            </div>
          )}
          empty={<Empty icon={Layers} title={t("noneTitle")} />}
        />
      )}
    </Loaded>
  );
}
