import { useMemo } from "react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Badge } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { Named } from "@/ui/masked";
import { type HostEvent, numberOf, textOf } from "./data";
import { EventList, plain, useFirstColumns } from "./events";
import type { TabProps } from "./page";
import { text } from "./strings";

const None = () => <span className="text-text-3">–</span>;

function useFileColumns(): readonly Column<HostEvent>[] {
  const t = useText(text);
  const format = useFormat();
  const first = useFirstColumns();
  return useMemo(
    () => [
      ...first,
      plain("path", t("path"), {
        width: 240,
        grow: 3,
        fixed: true,
        cell: (event) => (
          <span className={event.expected === false ? "mono text-high" : "mono"} title={textOf(event, "path")}>
            {textOf(event, "path")}
          </span>
        ),
      }),
      plain("changed", t("changed"), { width: 100 }),
      plain("expected", t("explained"), {
        width: 112,
        grow: 0,
        cell: (event) =>
          event.expected === true ? (
            <Badge tone="good">{t("byPackage")}</Badge>
          ) : event.expected === false ? (
            <Badge tone="high">{t("byNothing")}</Badge>
          ) : (
            <None />
          ),
      }),
      plain("package", t("package"), { width: 90 }),
      plain("image", t("who"), {
        width: 120,
        cell: (event) =>
          textOf(event, "image") || textOf(event, "user") ? (
            <span title={textOf(event, "command_line")}>
              <span className="mono">{textOf(event, "image")}</span> <Named value={textOf(event, "user")} />
            </span>
          ) : (
            <None />
          ),
      }),
      plain("size", t("size"), {
        width: 90,
        grow: 0,
        end: true,
        cell: (event) => {
          const size = numberOf(event, "size");
          return size === null ? <None /> : format.bytes(size);
        },
      }),
      plain("sha256", t("hash"), { width: 160, hidden: true }),
      plain("source", t("source"), { width: 90, grow: 0, hidden: true }),
    ],
    [t, format, first],
  );
}

export function Files(props: TabProps) {
  const t = useText(text);
  return <EventList {...props} kind="files" label={t("files")} columns={useFileColumns()} notable={t("unexplained")} />;
}

function useLoginColumns(): readonly Column<HostEvent>[] {
  const t = useText(text);
  const first = useFirstColumns();
  return useMemo(
    () => [
      ...first,
      plain("user", t("user"), {
        width: 140,
        grow: 2,
        fixed: true,
        cell: (event) => {
          const [user, target] = [textOf(event, "user"), textOf(event, "target_user")];
          return (
            <span className="font-medium">
              <Named value={user || "–"} />
              {target && (
                <span className="font-normal text-text-2">
                  {" → "}
                  <Named value={target} />
                </span>
              )}
            </span>
          );
        },
      }),
      plain("success", t("result"), {
        width: 110,
        grow: 0,
        hidden: true,
        cell: (event) => (
          <Badge tone={event.success === true ? "good" : "high"}>
            {t(event.success === true ? "worked" : "failed")}
          </Badge>
        ),
      }),
      plain("service", t("service"), { width: 90, grow: 0 }),
      plain("src_ip", t("from"), {
        width: 140,
        cell: (event) => {
          const from = textOf(event, "src_ip") || textOf(event, "src_host") || textOf(event, "terminal");
          return from ? (
            <span className="mono">
              <Named value={from} />
            </span>
          ) : (
            <None />
          );
        },
      }),
      plain("method", t("method"), { width: 110 }),
      plain("reason", t("reason"), { width: 140 }),
      plain("command", t("command"), { width: 160, grow: 2 }),
      plain("count", t("times"), { width: 80, grow: 0, end: true, hidden: true }),
    ],
    [t, first],
  );
}

export function Logins(props: TabProps) {
  const t = useText(text);
  return <EventList {...props} kind="logins" label={t("logins")} columns={useLoginColumns()} notable={t("refused")} />;
}

function useLogColumns(): readonly Column<HostEvent>[] {
  const t = useText(text);
  const [time, severity] = useFirstColumns();
  return useMemo(
    () => [
      ...(time ? [time] : []),
      ...(severity ? [{ ...severity, id: "severity", label: t("severity"), width: 110 }] : []),
      plain("program", t("program"), { width: 130, grow: 0 }),
      plain("message", t("message"), {
        width: 320,
        grow: 4,
        fixed: true,
        cell: (event) => (
          <span title={textOf(event, "message")}>
            <Named value={textOf(event, "message")} />
          </span>
        ),
      }),
      plain("unit", t("unit"), { width: 150, hidden: true }),
      plain("source", t("source"), { width: 90, grow: 0, hidden: true }),
    ],
    [t, time, severity],
  );
}

export function Logs(props: TabProps) {
  const t = useText(text);
  return <EventList {...props} kind="logs" label={t("logs")} columns={useLogColumns()} notable={t("errors")} />;
}
