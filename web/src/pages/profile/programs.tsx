import { useQuery } from "@tanstack/react-query";
import { Bot } from "lucide-react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { catalogue } from "@/i18n/text";
import { Button } from "@/ui/button";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";
import { agentName } from "./sessions";

const text = catalogue({
  title: ["Programs signed in as you", "Programme, die als Sie angemeldet sind"],
  hint: [
    "They hold tokens that renew themselves. End what you do not know.",
    "Sie haben Token, die sich selbst erneuern. Beenden Sie, was Sie nicht kennen.",
  ],
  none: ["No program is signed in as you.", "Kein Programm ist als Sie angemeldet."],
  unknown: ["Unknown program", "Unbekanntes Programm"],
  used: ["last renewed", "zuletzt erneuert"],
  end: ["End", "Beenden"],
  ended: ["Program signed out", "Programm abgemeldet"],
});

const tokensQuery = { queryKey: ["tokens"], queryFn: () => must(api.GET("/api/v1/tokens")) };

/** Programs that hold tokens of the person. */
export function Programs() {
  const t = useText(text);
  const query = useQuery(tokensQuery);
  const { act } = useAction();
  const end = (id: string) =>
    act(() => must(api.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } })).then(() => true), t("ended")).then(
      () => query.refetch(),
    );
  return (
    <Panel title={t("title")}>
      <Loaded query={query} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="m-0 text-sm text-text-3">{t("none")}</p>
          ) : (
            <>
              <p className="m-0 pb-2 text-xs text-text-3">{t("hint")}</p>
              <ul className="m-0 flex list-none flex-col p-0">
                {items.map((item) => (
                  <li key={item.id} className="flex items-center gap-3 border-t border-line py-2.5 text-sm">
                    <Bot aria-hidden size={18} className="shrink-0 text-text-3" />
                    <span className="min-w-0 flex-1">
                      <span className="block truncate font-medium">{agentName(item.user_agent) ?? t("unknown")}</span>
                      <span className="block text-xs text-text-3">
                        <span className="mono">{item.ip ?? "–"}</span> · {t("used")} <Ago time={item.last_used} />
                      </span>
                    </span>
                    <Button look="quiet" onClick={() => void end(item.id)}>
                      {t("end")}
                    </Button>
                  </li>
                ))}
              </ul>
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}
