import { ArrowLeft, SearchX } from "lucide-react";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import { SearchBox } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Empty } from "@/ui/state";
import type { LiveTable } from "./data";
import { text } from "./strings";

/** The tables that hosts have, beside the statement: first their names, then the columns of one. */
export function Tables({
  tables,
  chosen,
  onChoose,
  onInsert,
}: {
  tables: readonly LiveTable[];
  chosen: string | undefined;
  onChoose: (name: string | undefined) => void;
  onInsert: (table: LiveTable) => void;
}) {
  const t = useText(text);
  const table = tables.find(({ name }) => name === chosen);
  return (
    <Panel title={t("tables")} label={t("tables")} className="max-h-[520px] overflow-hidden">
      {table ? (
        <Columns table={table} onBack={() => onChoose(undefined)} onInsert={() => onInsert(table)} />
      ) : (
        <Names tables={tables} onChoose={onChoose} />
      )}
    </Panel>
  );
}

function Names({ tables, onChoose }: { tables: readonly LiveTable[]; onChoose: (name: string) => void }) {
  const t = useText(text);
  const [wanted, setWanted] = useState("");
  const word = wanted.trim().toLowerCase();
  const fits = (table: LiveTable) =>
    table.name.includes(word) ||
    table.about.toLowerCase().includes(word) ||
    table.columns.some(({ name }) => name.includes(word));
  const found = tables.filter(fits);
  return (
    <div className="flex h-full flex-col gap-3">
      <p className="m-0 text-xs text-text-3">{t("tablesHint")}</p>
      <SearchBox label={t("findTable")} value={wanted} onChange={(event) => setWanted(event.target.value)} />
      {found.length === 0 && <Empty icon={SearchX} title={t("noTable")} />}
      <ul className="-mx-2 m-0 max-h-[360px] list-none overflow-y-auto p-0">
        {found.map(({ name, about }) => (
          <li key={name}>
            <button
              type="button"
              onClick={() => onChoose(name)}
              className="flex w-full flex-col gap-0.5 rounded-s px-2 py-1.5 text-left hover:bg-hover"
            >
              <span className="mono text-xs font-medium">{name}</span>
              <span className="text-xs text-text-3">{about}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Columns({ table, onBack, onInsert }: { table: LiveTable; onBack: () => void; onInsert: () => void }) {
  const t = useText(text);
  return (
    <div className="flex h-full flex-col gap-3">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <Button look="quiet" icon={ArrowLeft} className="!h-7" onClick={onBack}>
          {t("allTables")}
        </Button>
        <Button className="!h-7" onClick={onInsert}>
          {t("insert")}
        </Button>
      </div>
      <div>
        <h3 className="mono m-0 text-sm font-semibold">{table.name}</h3>
        <p className="m-0 mt-1 text-xs text-text-2">{table.about}</p>
        {table.needs && <p className="m-0 mt-1 text-xs text-medium">{t("needs")}</p>}
      </div>
      <section aria-label={table.name} tabIndex={0} className="max-h-[330px] overflow-y-auto">
        <dl className="m-0 flex flex-col gap-2">
          {table.columns.map(({ name, kind, about, helps }) => (
            <div key={name}>
              <dt className="flex items-baseline gap-2">
                <span className="mono text-xs font-medium">{name}</span>
                <span className="text-2xs text-text-3">{kind}</span>
                {helps && (
                  <span title={t("helps")} className="text-xs text-accent">
                    <span aria-hidden>●</span>
                    <span className="sr-only">{t("helps")}</span>
                  </span>
                )}
              </dt>
              <dd className="m-0 text-xs text-text-3">{about}</dd>
            </div>
          ))}
        </dl>
      </section>
    </div>
  );
}
