import { Equal, FileDown, SearchX } from "lucide-react";
import { useRows } from "@/api/list";
import { useAction } from "@/app/action";
import { fetchFile } from "@/app/fetch-file";
import { useText } from "@/app/preferences";
import { useSlowText } from "@/app/slow-text";
import { useFormat } from "@/i18n/format";
import { useMemberName } from "@/pages/host/inventory/cell";
import { text as inventory } from "@/pages/host/inventory/strings";
import { text as hostTexts } from "@/pages/hosts/strings";
import { Badge, type Tone } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { classes } from "@/ui/classes";
import { SearchBox, Switch } from "@/ui/form";
import { Named } from "@/ui/masked";
import { Panel } from "@/ui/panel";
import { Empty, Failure, Loading } from "@/ui/state";
import {
  type ComparedHost,
  type ComparedList,
  type ComparedRow,
  exportPath,
  rowsQuery,
  type Shown,
  type Sides,
} from "./data";
import { text } from "./strings";

/** The name of a list, of the inventory or of what the server knows besides. */
export function useListName(): (list: string) => string {
  const t = useText(text);
  const i = useText(inventory);
  return (list) => {
    const key = `list_${list}`;
    if (key in text) return t(key as "list_facts");
    return key in inventory ? i(key as "list_packages") : list;
  };
}

/** What a column is called: a host, or most of a group. */
export function useColumnName(): (host: ComparedHost) => string {
  const t = useText(text);
  return (host) => (host.id ? host.name : t("most", { name: host.name, n: host.of ?? 0 }));
}

const TONES: Record<string, Tone> = { different: "medium", missing: "low", only: "accent", same: "neutral" };

function useRowName(list: string): (row: ComparedRow) => string {
  const t = useText(text);
  return ({ name }) => {
    const key = `fact_${name}`;
    return list === "facts" && key in text ? t(key as "fact_os") : name;
  };
}

interface CellProps {
  row: ComparedRow;
  place: number;
  unknown: boolean;
  list: string;
}

function Cell({ row, place, unknown, list }: CellProps) {
  const t = useText(text);
  const h = useText(hostTexts);
  const cell = row.cells[place];
  if (unknown) return <span className="text-text-3">{t("unknown")}</span>;
  if (!cell) {
    return (
      <span className="text-text-3">
        <span aria-hidden>–</span>
        <span className="sr-only">{t("lacks")}</span>
      </span>
    );
  }
  if (!cell.text) return <span className="text-text-2">{list === "facts" ? "–" : t("there")}</span>;
  const state = list === "facts" && row.name === "status" && cell.text in hostTexts;
  return <Named value={state ? h(cell.text as "online") : cell.text} />;
}

function Row({ row, hosts, list }: { row: ComparedRow; hosts: readonly ComparedHost[]; list: ComparedList }) {
  const t = useText(text);
  const member = useMemberName();
  const name = useRowName(list.list)(row);
  const differs = row.standing !== "same";
  const plain = list.list === "facts" || list.list === "policy";
  return (
    <tr className="border-b border-line last:border-0">
      <th scope="row" className="break-words px-4 py-2 text-left align-top font-normal">
        <span className="flex flex-wrap items-center gap-x-2 gap-y-1">
          <span className="min-w-0 break-words">
            <Named value={name} />
          </span>
          {differs && !plain && <Badge tone={TONES[row.standing] ?? "neutral"}>{t(row.standing as "different")}</Badge>}
          {differs && plain && <span className="sr-only">({t("differs")})</span>}
        </span>
        {!plain && row.differs.length > 0 && (
          <span className="block text-xs text-text-3">{row.differs.map(member).join(", ")}</span>
        )}
      </th>
      {hosts.map((host, place) => {
        const odd = row.odd.includes(place);
        const marked = odd || (differs && row.odd.length === 0);
        return (
          <td
            key={host.id ?? "group"}
            className={classes("break-words px-4 py-2 align-top", marked && "bg-medium-soft")}
          >
            <Cell row={row} place={place} unknown={list.unknown.includes(place)} list={list.list} />
            {odd && <span className="sr-only"> ({t("odd")})</span>}
          </td>
        );
      })}
    </tr>
  );
}

interface Props {
  who: Sides;
  hosts: readonly ComparedHost[];
  list: ComparedList;
  what: Shown;
  onChange: (part: { all?: boolean | undefined; q?: string | undefined }) => void;
}

function Tools({ who, what, onChange }: Props) {
  const t = useText(text);
  const { busy, act } = useAction();
  const [typed, setTyped] = useSlowText(what.q ?? "", (q) => onChange({ q: q || undefined }));
  return (
    <span className="flex flex-wrap items-center gap-3 py-1.5">
      <SearchBox
        className="w-52"
        label={t("search")}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <span className="flex items-center gap-2 text-sm">
        <Switch
          label={t("onlyDifferent")}
          checked={!what.all}
          onChange={(only) => onChange({ all: only ? undefined : true })}
        />
        {t("onlyDifferent")}
      </span>
      <IconButton
        label={t("csv")}
        icon={FileDown}
        look="plain"
        busy={busy}
        onClick={() => void act(() => fetchFile(exportPath(who, what), `compare-${what.list}.csv`))}
      />
    </span>
  );
}

function Nothing({ known, searched }: { known: boolean; searched: boolean }) {
  const t = useText(text);
  if (searched) return <Empty icon={SearchX} title={t("noneFound")} />;
  return (
    <Empty icon={Equal} title={t(known ? "alike" : "notComparable")}>
      {t(known ? "alikeHint" : "notComparableHint")}
    </Empty>
  );
}

/** The rows of one list, with a column for each host. */
export function Rows(props: Props) {
  const { who, hosts, list, what } = props;
  const t = useText(text);
  const format = useFormat();
  const title = useListName()(what.list);
  const column = useColumnName();
  const { rows, ready, error, more, loadingMore, refetch } = useRows(rowsQuery(who, what));
  const known = hosts.length - list.unknown.length > 1;
  const shown = rows.length > 0;
  return (
    <Panel title={title} flush aside={<Tools {...props} />}>
      {error ? (
        <Failure error={error} onRetry={refetch} />
      ) : ready ? (
        shown ? (
          <section aria-label={title} tabIndex={0} className="relative overflow-x-auto">
            <table
              className="w-full table-fixed border-collapse text-sm"
              style={{ minWidth: 220 + hosts.length * 150 }}
            >
              <thead>
                <tr className="border-b border-line text-xs text-text-3">
                  <th className="w-40 px-4 py-2 text-left font-medium sm:w-72">{t("what")}</th>
                  {hosts.map((host) => (
                    <th key={host.id ?? "group"} scope="col" className="truncate px-4 py-2 text-left font-medium">
                      {column(host)}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {rows.map((row, index) => (
                  <Row key={`${row.name} ${index}`} row={row} hosts={hosts} list={list} />
                ))}
              </tbody>
            </table>
          </section>
        ) : (
          <Nothing known={known} searched={Boolean(what.q)} />
        )
      ) : (
        <Loading rows={8} />
      )}
      {shown && (
        <div className="flex items-center gap-3 border-t border-line px-4 py-2 text-xs text-text-3">
          {t("total", { n: rows.length })}
          {more && (
            <Button busy={loadingMore} onClick={more}>
              {t("more")}
            </Button>
          )}
          <span className="ml-auto">
            {t("same")}: <span className="num">{format.number(list.same)}</span>
          </span>
        </div>
      )}
    </Panel>
  );
}
