import { useQueryClient } from "@tanstack/react-query";
import { CircleCheck, CircleDashed, FlaskConical } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Button, LinkButton } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Panel } from "@/ui/panel";
import { text } from "./strings";

type Outcome = Schema<"TestAlert">;
type Step = "sent" | "detected" | "alert" | "notified";

/** A harmless alert through everything, and how far it came. */
export function TestAlert() {
  const t = useText(text);
  const format = useFormat();
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const run = async () => {
    setOutcome(null);
    setOutcome(await act(() => must(api.POST("/api/v1/notifications/test-alert"))));
    for (const name of ["deliveries", "channels", "alerts"]) void client.invalidateQueries({ queryKey: [name] });
  };
  const clear = async () => {
    if (!outcome) return;
    const params = { query: { name: outcome.name } };
    const gone = await act(() => must(api.DELETE("/api/v1/replays", { params })), t("cleared"));
    if (!gone) return;
    setOutcome(null);
    void client.invalidateQueries({ queryKey: ["alerts"] });
  };
  return (
    <Panel
      title={t("testAlert")}
      label={t("testAlert")}
      aside={
        <Button icon={FlaskConical} busy={busy} onClick={() => void run()}>
          {t("testAlert")}
        </Button>
      }
    >
      <p className="m-0 text-sm text-text-2">{t("testAlertHint")}</p>
      {outcome && (
        <div role="status" className="mt-3 flex flex-col gap-3">
          <ol className="m-0 grid list-none gap-2 p-0 sm:grid-cols-4">
            {outcome.steps.map(({ step, at }) => (
              <li key={step} className="flex items-start gap-2 text-sm">
                {at ? (
                  <CircleCheck aria-hidden size={16} className="mt-0.5 shrink-0 text-good" />
                ) : (
                  <CircleDashed aria-hidden size={16} className="mt-0.5 shrink-0 text-high" />
                )}
                <span>
                  <span className="block font-medium">{t(step as Step)}</span>
                  <span className={classes("num block text-xs", at ? "text-text-3" : "text-high")}>
                    {at ? format.clock(at) : t("notReached")}
                  </span>
                </span>
              </li>
            ))}
          </ol>
          <div className="flex flex-wrap items-center gap-3">
            <span className="text-sm text-text-2">{t("deliveriesMade", { n: outcome.deliveries })}</span>
            {outcome.alert && (
              <LinkButton to="/alerts/$id" params={{ id: outcome.alert }}>
                {t("openAlert")}
              </LinkButton>
            )}
            <Button look="quiet" onClick={() => void clear()}>
              {t("clear")}
            </Button>
          </div>
        </div>
      )}
    </Panel>
  );
}
