import { ChevronDown, ChevronRight, ListTree } from "lucide-react";
import { useMemo, useState } from "react";
import { useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { ListSearch } from "@/ui/list";
import { Named } from "@/ui/masked";
import { Empty, Failure, Loading } from "@/ui/state";
import { Segmented } from "@/ui/tabs";
import { At } from "@/ui/time";
import { eventId, eventsQuery, filterOf, type HostEvent, textOf } from "./data";
import { EventSheet } from "./event";
import { EventList, plain, TabPanel, TabTools, TabViews, useFirstColumns } from "./events";
import type { TabProps } from "./page";
import type { HostSearch } from "./search";
import { text } from "./strings";
import { baseName } from "./told";
import { type ProcessNode, processTree, rowsOf, type TreeRow } from "./tree";

/** Events of a page of the tree, as many as the API gives at once: parents are found more often. */
const TREE_PAGE = 1_000;
const INDENT_PX = 16;

function View({ state, onChange }: Pick<TabProps, "state" | "onChange">) {
  const t = useText(text);
  return (
    <Segmented
      label={t("view")}
      value={state.view ?? "tree"}
      onChange={(view) => onChange({ view: view === "tree" ? undefined : view, event: undefined })}
      tabs={[
        { value: "tree", label: t("tree") },
        { value: "list", label: t("list") },
      ]}
    />
  );
}

export function Processes(props: TabProps) {
  const t = useText(text);
  const columns = useEventColumns();
  if (props.state.view !== "list") return <Tree {...props} />;
  return (
    <EventList
      {...props}
      kind="processes"
      label={t("processes")}
      columns={columns}
      notable={t("elevated")}
      before={<View {...props} />}
    />
  );
}

function useEventColumns(): readonly Column<HostEvent>[] {
  const t = useText(text);
  const first = useFirstColumns();
  return useMemo(
    () => [
      ...first,
      plain("image", t("image"), {
        width: 150,
        cell: (event) => (
          <span className="mono font-medium" title={textOf(event, "image")}>
            {baseName(textOf(event, "image")) || textOf(event, "name") || "–"}
          </span>
        ),
      }),
      plain("command_line", t("command"), {
        width: 240,
        grow: 3,
        fixed: true,
        cell: (event) => (
          <span className="mono text-text-2" title={textOf(event, "command_line")}>
            <Named value={textOf(event, "command_line") || "–"} />
          </span>
        ),
      }),
      plain("pid", t("pid"), { width: 84, grow: 0, end: true }),
      plain("user", t("user"), { width: 100, cell: (event) => <Named value={textOf(event, "user") || "–"} /> }),
      plain("elevated", t("rights"), {
        width: 116,
        grow: 0,
        cell: (event) => event.elevated === true && <Badge tone="high">{t("otherRights")}</Badge>,
      }),
      plain("parent_image", t("parent"), {
        width: 130,
        cell: (event) => (
          <span className="mono text-text-2" title={textOf(event, "ancestors")}>
            {baseName(textOf(event, "parent_image")) || "–"}
          </span>
        ),
      }),
      plain("login_user", t("loginUser"), { width: 110, hidden: true }),
      plain("unit", t("unit"), { width: 150, hidden: true }),
      plain("container", t("container"), { width: 130, hidden: true }),
      plain("sha256", t("hash"), { width: 160, hidden: true }),
    ],
    [t, first],
  );
}

function End({ node }: { node: ProcessNode }) {
  const t = useText(text);
  if (!node.event) return <span className="text-text-3">{t("earlier")}</span>;
  if (!node.ended) return <span className="text-good">{t("running")}</span>;
  if (node.signal) return <span className="text-medium">{t("exitSignal", { signal: node.signal })}</span>;
  const failed = (node.exitCode ?? 0) !== 0;
  return (
    <span className={failed ? "text-medium" : "text-text-3"}>
      {failed ? t("exitCode", { code: String(node.exitCode) }) : t("exitOk")}
    </span>
  );
}

/** The program of a process, as short as it can be told. */
function nameOf(node: ProcessNode): string {
  return baseName(node.image) || baseName(node.command.split(" ")[0] ?? "") || String(node.pid);
}

function Branch({ row, onTurn }: { row: TreeRow; onTurn: (id: string) => void }) {
  const t = useText(text);
  const { node, depth, open } = row;
  const name = nameOf(node);
  const Icon = open ? ChevronDown : ChevronRight;
  return (
    <span className="flex min-w-0 items-center gap-1" style={{ paddingLeft: depth * INDENT_PX }}>
      {node.children.length > 0 ? (
        <button
          type="button"
          aria-expanded={open}
          aria-label={t(open ? "collapse" : "expand", { name })}
          onClick={() => onTurn(node.id)}
          className="flex size-6 shrink-0 items-center justify-center rounded-s text-text-3 hover:bg-hover hover:text-text"
        >
          <Icon aria-hidden size={14} />
        </button>
      ) : (
        <span aria-hidden className="w-6 shrink-0" />
      )}
      <span
        className={classes("mono shrink-0 font-medium", node.elevated && "text-high", !node.event && "text-text-3")}
        title={node.image}
      >
        {name}
      </span>
      {node.children.length > 0 && !open && (
        <span className="num shrink-0 rounded-s bg-info-soft px-1 text-2xs text-info">{node.children.length}</span>
      )}
      <span className="mono min-w-0 truncate pl-1 text-text-3" title={node.command}>
        <Named value={node.command} />
      </span>
    </span>
  );
}

function useTreeColumns(onTurn: (id: string) => void): readonly Column<TreeRow>[] {
  const t = useText(text);
  return useMemo<readonly Column<TreeRow>[]>(
    () => [
      {
        id: "process",
        label: t("process"),
        width: 300,
        grow: 4,
        fixed: true,
        cell: (row) => <Branch row={row} onTurn={onTurn} />,
        value: ({ node }) => node.command || node.image,
      },
      {
        id: "pid",
        label: t("pid"),
        width: 84,
        grow: 0,
        end: true,
        cell: ({ node }) => node.pid,
        value: ({ node }) => node.pid,
      },
      {
        id: "user",
        label: t("user"),
        width: 110,
        grow: 0,
        cell: ({ node }) => <Named value={node.user || "–"} />,
        value: ({ node }) => node.user,
      },
      {
        id: "elevated",
        label: t("rights"),
        width: 116,
        grow: 0,
        cell: ({ node }) => node.elevated && <Badge tone="high">{t("otherRights")}</Badge>,
        value: ({ node }) => node.elevated,
      },
      {
        id: "started",
        label: t("started"),
        width: 150,
        grow: 0,
        end: true,
        cell: ({ node }) => (node.started ? <At time={node.started} /> : "–"),
        value: ({ node }) => node.started,
      },
      {
        id: "ended",
        label: t("ended"),
        width: 110,
        grow: 0,
        end: true,
        cell: ({ node }) => <End node={node} />,
        value: ({ node }) => node.ended,
      },
    ],
    [t, onTurn],
  );
}

/** Processes below their parents, as far as those are known. */
function Tree({ host, state, stretch, onChange }: TabProps) {
  const t = useText(text);
  const filter = filterOf("processes", state, "activity in (exec, exit)");
  const query = eventsQuery(host.id, stretch, { class: "processes", filter, limit: TREE_PAGE });
  const list = useRows(query);
  const [turned, setTurned] = useState<ReadonlySet<string>>(new Set());
  const [onTurn] = useState(
    () => (id: string) =>
      setTurned((before) => new Set(before.has(id) ? [...before].filter((other) => other !== id) : [...before, id])),
  );
  const roots = useMemo(() => processTree(list.rows), [list.rows]);
  const rows = useMemo(() => rowsOf(roots, turned), [roots, turned]);
  const columns = useTreeColumns(onTurn);
  const { shown, ids, choose } = useColumns("host-process-tree", columns);
  const open = list.rows.find((event) => eventId(event) === state.event);
  const change = (part: Partial<HostSearch>) => onChange(part);
  return (
    <>
      <TabTools
        tools={
          <>
            <TabViews page="host-process-tree" state={state} ids={ids} choose={choose} onChange={onChange} />
            <ExportMenu name={`${host.name}-process-tree`} columns={columns} pages={() => [rows]} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
          </>
        }
      >
        <View state={state} onChange={onChange} />
        <ListSearch label={t("searchIn")} value={state.q} onSearch={(q) => change({ q })} />
        <Segmented
          label={t("show")}
          value={state.only ?? "all"}
          onChange={(next) => change({ only: next === "all" ? undefined : next })}
          tabs={[
            { value: "all", label: t("everything") },
            { value: "notable", label: t("elevated") },
          ]}
        />
        {list.more && (
          <Button look="quiet" busy={list.loadingMore} onClick={list.more}>
            {t("olderProcesses")}
          </Button>
        )}
      </TabTools>
      <TabPanel>
        {list.error && !list.ready ? (
          <Failure error={list.error} onRetry={list.refetch} />
        ) : !list.ready ? (
          <Loading rows={12} />
        ) : (
          <Grid
            label={t("processes")}
            columns={shown}
            rows={rows}
            rowId={({ node }) => node.id}
            onOpen={({ node }) => node.event && change({ event: eventId(node.event) })}
            card={(row) => (
              <div className="flex h-full flex-col justify-between text-sm">
                <Branch row={{ ...row, depth: Math.min(row.depth, 4) }} onTurn={onTurn} />
                <div className="flex items-center justify-between gap-3 text-xs text-text-3">
                  <span className="num">
                    {row.node.pid} · <Named value={row.node.user || "–"} />
                  </span>
                  <End node={row.node} />
                </div>
              </div>
            )}
            cardHeight={68}
            empty={
              <Empty icon={ListTree} title={t("nothing")}>
                {t("nothingHint")}
              </Empty>
            }
          />
        )}
      </TabPanel>
      <EventSheet event={open} onClose={() => change({ event: undefined })} />
    </>
  );
}
