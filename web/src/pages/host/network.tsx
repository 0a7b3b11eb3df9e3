import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { bounds } from "@/app/range";
import { useFormat } from "@/i18n/format";
import { Badge } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { Named } from "@/ui/masked";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { Ago } from "@/ui/time";
import { eventsQuery, type HostEvent, numberOf, textOf } from "./data";
import { EventList, plain, useFirstColumns } from "./events";
import type { TabProps } from "./page";
import { listening } from "./ports";
import { text } from "./strings";
import { baseName, endpoint, protocolName } from "./told";

/** As many as the API gives at once. */
const TOLD_MAX = 1_000;

/** The ports that the machine listens on, whatever the time that is shown: they stay open for long. */
function Ports({ host }: TabProps) {
  const t = useText(text);
  const stretch = useMemo(() => ({ from: bounds("30d").from }), []);
  const told = eventsQuery(host.id, stretch, {
    class: "connections",
    filter: "activity in (listen, unlisten)",
    limit: TOLD_MAX,
  });
  const query = useQuery({
    queryKey: ["host-events", host.id, "ports", stretch],
    queryFn: () => told.load(null).then(({ items }) => listening(items)),
  });
  return (
    <Panel title={t("ports")} flush className="mx-3 mt-3 shrink-0 md:mx-6">
      <Loaded query={query} rows={3}>
        {(ports) =>
          ports.length === 0 ? (
            <p className="m-0 px-4 pb-4 text-sm text-text-3">{t("noPorts")}</p>
          ) : (
            <Table
              label={t("ports")}
              rows={ports}
              rowId={(one) => one.id}
              className="max-h-60"
              heads={[
                {
                  id: "port",
                  label: t("port"),
                  cell: (one) => (
                    <span className="num font-medium">
                      {one.port}/{protocolName(one.protocol)}
                    </span>
                  ),
                },
                {
                  id: "reach",
                  label: t("reach"),
                  cell: (one) => (
                    <span className="flex items-center gap-2">
                      <Badge tone={one.open ? "medium" : "neutral"}>{t(one.open ? "everywhere" : "here")}</Badge>
                      <span className="mono text-text-3">
                        <Named value={one.address || "*"} />
                      </span>
                    </span>
                  ),
                },
                {
                  id: "process",
                  label: t("process"),
                  cell: (one) => (
                    <span title={textOf(one.event, "command_line")}>
                      <span className="mono">{textOf(one.event, "image") || textOf(one.event, "name") || "–"}</span>{" "}
                      <span className="num text-text-3">{textOf(one.event, "pid")}</span>
                    </span>
                  ),
                },
                {
                  id: "user",
                  label: t("user"),
                  cell: (one) => <Named value={textOf(one.event, "user") || "–"} />,
                },
                { id: "since", label: t("since"), end: true, cell: (one) => <Ago time={one.event.time} /> },
              ]}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

function useConnectionColumns(): readonly Column<HostEvent>[] {
  const t = useText(text);
  const format = useFormat();
  const first = useFirstColumns();
  return useMemo(() => {
    const side = (address: string, port: string) => (event: HostEvent) => (
      <span className="mono">
        <Named value={endpoint(textOf(event, address), numberOf(event, port))} />
      </span>
    );
    return [
      ...first,
      plain("protocol", t("protocol"), {
        width: 84,
        grow: 0,
        cell: (event) => protocolName(numberOf(event, "protocol")),
      }),
      plain("src_ip", t("local"), {
        width: 160,
        cell: side("src_ip", "src_port"),
        value: (event) => endpoint(textOf(event, "src_ip"), numberOf(event, "src_port")),
      }),
      plain("dst_ip", t("remote"), {
        width: 160,
        fixed: true,
        cell: side("dst_ip", "dst_port"),
        value: (event) => endpoint(textOf(event, "dst_ip"), numberOf(event, "dst_port")),
      }),
      plain("initiated", t("direction"), {
        width: 104,
        grow: 0,
        cell: (event) => (typeof event.initiated === "boolean" ? t(event.initiated ? "outward" : "inward") : "–"),
      }),
      plain("image", t("process"), {
        width: 150,
        cell: (event) => (
          <span title={textOf(event, "command_line") || textOf(event, "image")}>
            <span className="mono">{textOf(event, "name") || baseName(textOf(event, "image")) || "–"}</span>{" "}
            <span className="num text-text-3">{textOf(event, "pid")}</span>
          </span>
        ),
      }),
      plain("user", t("user"), { width: 100, cell: (event) => <Named value={textOf(event, "user") || "–"} /> }),
      plain("bytes", t("bytes"), {
        width: 96,
        grow: 0,
        end: true,
        cell: (event) => {
          const [sent, came] = [numberOf(event, "bytes_sent"), numberOf(event, "bytes_received")];
          return sent === null && came === null ? "–" : format.bytes((sent ?? 0) + (came ?? 0));
        },
        value: (event) => (numberOf(event, "bytes_sent") ?? 0) + (numberOf(event, "bytes_received") ?? 0),
      }),
      plain("state", t("state"), { width: 110, grow: 0, hidden: true }),
    ];
  }, [t, format, first]);
}

/** Listening ports above, connections below. */
export function Network(props: TabProps) {
  const t = useText(text);
  return (
    <>
      <Ports {...props} />
      <EventList
        {...props}
        kind="connections"
        label={t("connections")}
        columns={useConnectionColumns()}
        notable={t("listened")}
      />
    </>
  );
}
