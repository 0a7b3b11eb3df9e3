import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { ArrowLeft, GitCompareArrows } from "lucide-react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { classes } from "@/ui/classes";
import { PageHeader, Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { type ComparedList, type Comparison, differing, type Sides, summaryQuery } from "./data";
import { Health } from "./health";
import { type CompareSearch, idsOf } from "./search";
import { Chosen } from "./sides";
import { text } from "./strings";
import { Rows, useListName } from "./table";

const NUMBERS = ["different", "missing", "only", "same"] as const;

/** How every list compares; one is chosen, and its rows stand beside. */
function Lists({
  lists,
  chosen,
  onChoose,
}: {
  lists: readonly ComparedList[];
  chosen: string;
  onChoose: (list: string) => void;
}) {
  const t = useText(text);
  const format = useFormat();
  const name = useListName();
  return (
    <Panel title={t("lists")} flush>
      <section aria-label={t("lists")} tabIndex={0} className="overflow-x-auto">
        <table className="w-full border-collapse text-sm">
          <thead>
            <tr className="border-b border-line text-xs text-text-3">
              <th className="px-4 py-2 text-left font-medium">{t("list")}</th>
              {NUMBERS.map((number) => (
                <th key={number} className="px-2 py-2 text-right align-bottom font-medium last:pr-4">
                  {t(number)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lists.map((list) => (
              <tr
                key={list.list}
                className={classes("border-b border-line last:border-0", list.list === chosen && "bg-accent-soft")}
              >
                <th scope="row" className="px-4 py-1 text-left font-normal">
                  <button
                    type="button"
                    aria-pressed={list.list === chosen}
                    onClick={() => onChoose(list.list)}
                    className={classes(
                      "w-full rounded-s py-0.5 text-left hover:text-accent",
                      differing(list) > 0 ? "font-medium" : "text-text-2",
                    )}
                  >
                    {name(list.list)}
                  </button>
                </th>
                {NUMBERS.map((number) => (
                  <td
                    key={number}
                    className={classes("num px-2 py-1 text-right last:pr-4", list[number] === 0 && "text-text-3")}
                  >
                    {format.number(list[number])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Panel>
  );
}

interface Props {
  who: Sides;
  state: CompareSearch;
  onChange: (part: CompareSearch) => void;
}

function Compared({ said, who, state, onChange }: Props & { said: Comparison }) {
  const chosen = said.lists.find(({ list }) => list === state.list) ?? said.lists[0];
  return (
    <>
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(340px,420px)_minmax(0,1fr)]">
        <Lists
          lists={said.lists}
          chosen={chosen?.list ?? ""}
          onChoose={(list) => onChange({ list, q: undefined } as CompareSearch)}
        />
        {chosen && (
          <Rows
            who={who}
            hosts={said.hosts}
            list={chosen}
            what={{ list: chosen.list, all: state.all === true, q: state.q }}
            onChange={(part) => onChange(part as CompareSearch)}
          />
        )}
      </div>
      <Health hosts={said.hosts} />
    </>
  );
}

function Answer(props: Props) {
  const query = useQuery(summaryQuery(props.who));
  return (
    <Loaded query={query} rows={10}>
      {(said) => <Compared {...props} said={said} />}
    </Loaded>
  );
}

/** Hosts side by side. */
export default function ComparePage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/hosts/compare" });
  const navigate = useNavigate({ from: "/hosts/compare" });
  const change = (part: CompareSearch) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const who: Sides = { ids: idsOf(state), group: state.group };
  const choose = ({ ids, group }: Sides) =>
    change({ hosts: ids.join(",") || undefined, a: undefined, b: undefined, group } as CompareSearch);
  return (
    <div className="mx-auto max-w-[1600px] pb-8">
      <div className="px-4 md:px-6">
        <Link
          to="/hosts"
          className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
        >
          <ArrowLeft aria-hidden size={14} /> {t("back")}
        </Link>
      </div>
      <PageHeader title={t("title")} detail={t("lead")} />
      <div className="flex flex-col gap-4 px-4 md:px-6">
        <Chosen who={who} onChange={choose} />
        {who.ids.length + (who.group ? 1 : 0) >= 2 && who.ids.length > 0 ? (
          <Answer who={who} state={state} onChange={change} />
        ) : (
          <Empty icon={GitCompareArrows} title={t("other")}>
            {t("otherHint")}
          </Empty>
        )}
      </div>
    </div>
  );
}
