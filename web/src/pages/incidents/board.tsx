import { useQuery } from "@tanstack/react-query";
import { useText } from "@/app/preferences";
import { Loaded } from "@/ui/state";
import { boardQuery, type Status } from "./data";
import { IncidentCard, IncidentStatus } from "./parts";
import type { IncidentSearch } from "./search";
import { text } from "./strings";

/** Incidents by status, side by side. */
export function Board({ state }: { state: IncidentSearch }) {
  const t = useText(text);
  const query = useQuery(boardQuery(state));
  return (
    <Loaded query={query}>
      {(board) => (
        <div className="relative flex min-h-0 flex-1 gap-3 overflow-x-auto px-4 pb-4 md:px-6">
          {board.columns.map((column) => (
            <section
              key={column.status}
              aria-label={t(column.status as Status)}
              className="flex w-72 shrink-0 flex-col rounded-box border border-line bg-sunken xl:w-auto xl:min-w-56 xl:flex-1"
            >
              <header className="flex items-center justify-between px-3 py-2.5">
                <IncidentStatus status={column.status} />
                <span className="num text-xs text-text-3">{column.count}</span>
              </header>
              <div className="flex min-h-0 flex-1 flex-col gap-2 overflow-y-auto px-2 pb-2">
                {column.items.length === 0 && (
                  <p className="m-0 px-1 py-3 text-center text-xs text-text-3">{t("columnEmpty")}</p>
                )}
                {column.items.map((incident) => (
                  <IncidentCard key={incident.id} incident={incident} />
                ))}
                {column.count > column.items.length && (
                  <p className="m-0 text-center text-xs text-text-3">
                    {t("moreHere", { n: column.count - column.items.length })}
                  </p>
                )}
              </div>
            </section>
          ))}
        </div>
      )}
    </Loaded>
  );
}
