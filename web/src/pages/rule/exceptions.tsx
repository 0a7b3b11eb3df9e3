import { useQuery } from "@tanstack/react-query";
import { PencilLine, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { text } from "@/pages/rules/strings";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Switch } from "@/ui/form";
import { Confirm } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { Ago, At } from "@/ui/time";
import { ExceptionDialog } from "./exception-form";

export type Exception = Schema<"ExceptionView">;

export const exceptionsQuery = (rule: string) => ({
  queryKey: ["rules", "exceptions", rule],
  queryFn: () => must(api.GET("/api/v1/rules/{id}/exceptions", { params: { path: { id: rule } } })),
});

/** What a rule leaves alone. Exceptions stand beside the rule, so that its updates do not lose them. */
export function Exceptions({ rule }: { rule: string }) {
  const t = useText(text);
  const write = useCan("rules:write");
  const refresh = useFreshen("rules");
  const { act } = useAction();
  const [editing, setEditing] = useState<Exception | "new" | null>(null);
  const [removing, setRemoving] = useState<Exception | null>(null);
  const query = useQuery(exceptionsQuery(rule));
  const apply = (one: Exception, enabled: boolean) => {
    const params = { path: { exception: one.id } };
    const { version, filter, reason, expires } = one;
    const body = { version, filter, reason, expires, enabled };
    void act(() => must(api.PATCH("/api/v1/rules/exceptions/{exception}", { params, body }))).then(refresh);
  };
  return (
    <Panel
      title={t("exceptions")}
      aside={
        write && (
          <Button icon={Plus} onClick={() => setEditing("new")}>
            {t("exceptionAdd")}
          </Button>
        )
      }
    >
      <p className="mb-3 mt-0 text-sm text-text-2">{t("exceptionsHint")}</p>
      <Loaded query={query} rows={3}>
        {(data) =>
          data.items.length === 0 ? (
            <p className="m-0 py-2 text-sm text-text-3">{t("exceptionsNone")}</p>
          ) : (
            <ul aria-label={t("exceptions")} className="m-0 list-none p-0">
              {data.items.map((one) => (
                <Line
                  key={one.id}
                  one={one}
                  onApply={(on) => apply(one, on)}
                  onEdit={() => setEditing(one)}
                  onRemove={() => setRemoving(one)}
                />
              ))}
            </ul>
          )
        }
      </Loaded>
      <ExceptionDialog rule={rule} one={editing} onClose={() => setEditing(null)} />
      <Confirm
        open={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("exceptionDelete")}
        description={<code className="mono break-all">{removing?.filter}</code>}
        action={t("delete")}
        danger
        onConfirm={async () => {
          if (!removing) return;
          const params = { path: { exception: removing.id } };
          await act(() => must(api.DELETE("/api/v1/rules/exceptions/{exception}", { params })).then(() => true));
          refresh();
        }}
      />
    </Panel>
  );
}

function Line({
  one,
  onApply,
  onEdit,
  onRemove,
}: {
  one: Exception;
  onApply: (on: boolean) => void;
  onEdit: () => void;
  onRemove: () => void;
}) {
  const t = useText(text);
  const u = useText(ui);
  const write = useCan("rules:write");
  return (
    <li className="flex items-start gap-3 border-t border-line py-2.5 text-sm first:border-0">
      <span className="pt-0.5">
        <Switch
          label={`${t("exceptionHolds")}: ${one.filter}`}
          checked={one.enabled}
          disabled={!write}
          onChange={onApply}
        />
      </span>
      <span className="min-w-0 flex-1">
        <code className="mono block break-all">{one.filter}</code>
        <span className="block text-text-2">{one.reason}</span>
        <span className="num mt-0.5 flex flex-wrap items-center gap-x-3 text-xs text-text-3">
          <span>{t("exceptionHits", { n: one.hits })}</span>
          {one.last_hit && (
            <span>
              {t("exceptionLast")} <Ago time={one.last_hit} />
            </span>
          )}
          <span>{t("exceptionBy", { name: one.author })}</span>
          {one.expired ? (
            <Badge tone="medium">{t("exceptionEnded")}</Badge>
          ) : (
            one.expires && (
              <span>
                {t("exceptionUntil")} <At time={one.expires} />
              </span>
            )
          )}
          {one.issue && <Badge tone="critical">{one.issue}</Badge>}
        </span>
      </span>
      {write && (
        <span className="flex">
          <IconButton label={`${u("edit")}: ${one.filter}`} icon={PencilLine} className="!h-7 !w-7" onClick={onEdit} />
          <IconButton label={`${u("remove")}: ${one.filter}`} icon={Trash2} className="!h-7 !w-7" onClick={onRemove} />
        </span>
      )}
    </li>
  );
}
