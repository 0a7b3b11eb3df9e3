import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Undo2 } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { type Command, outcomeOf, type Run, runQuery } from "@/pages/commands/data";
import { RunStateMark } from "@/pages/commands/parts";
import { text } from "@/pages/commands/strings";
import { Button } from "@/ui/button";
import { Confirm, Dialog } from "@/ui/overlay";
import { Facts } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { At } from "@/ui/time";
import { Pack } from "./pack";

/** What one host did with a command, step by step. */
export function RunSheet({
  command,
  host,
  onClose,
}: {
  command: Command;
  host: string | undefined;
  onClose: () => void;
}) {
  const query = useQuery({ ...runQuery(command.id, host ?? ""), enabled: host !== undefined });
  return (
    <Dialog open={host !== undefined} onClose={onClose} title={query.data?.host_name ?? ""} sheet>
      {host !== undefined && (
        <Loaded query={query} rows={6}>
          {(run) => <Detail command={command} run={run} />}
        </Loaded>
      )}
    </Dialog>
  );
}

function Detail({ command, run }: { command: Command; run: Run }) {
  const t = useText(text);
  const outcome = outcomeOf(run);
  const title = "m-0 mb-2 text-sm font-semibold";
  return (
    <div className="flex flex-col gap-5">
      <div className="flex flex-wrap items-center gap-3">
        <RunStateMark state={run.state} />
        <Link
          to="/hosts/$id"
          params={{ id: run.host }}
          className="text-sm font-medium text-accent no-underline hover:underline"
        >
          {run.host_name}
        </Link>
        {outcome.undo && run.state === "done" && !command.dry_run && <Undo run={run} />}
      </div>
      {run.text && <p className="m-0 break-words text-sm">{run.text}</p>}
      <Facts
        items={[
          [t("told"), run.sent && <At time={run.sent} />],
          [t("begun"), run.begun && <At time={run.begun} />],
          [t("ended"), run.ended && <At time={run.ended} />],
          [t("refused"), outcome.denied && <span className="mono">{outcome.denied}</span>],
        ]}
      />
      {outcome.steps.length > 0 && (
        <section>
          <h3 className={title}>{t(command.dry_run ? "stepsDry" : "steps")}</h3>
          <ol className="m-0 flex flex-col gap-1.5 pl-5 text-sm">
            {outcome.steps.map((step, index) => (
              <li key={index} className="break-words">
                <span className="font-medium">{step.verb}</span> <span className="mono">{step.target}</span>
                {step.note && <span className="text-text-2"> {step.note}</span>}
              </li>
            ))}
          </ol>
        </section>
      )}
      {outcome.collected && !command.dry_run && <Pack run={run} />}
      {run.output && (
        <section>
          <h3 className={title}>{t("output")}</h3>
          <Pre label={t("output")}>{run.output}</Pre>
        </section>
      )}
      {run.outcome && (
        <details>
          <summary className="cursor-pointer text-sm text-text-2">{t("raw")}</summary>
          <div className="mt-2">
            <Pre label={t("raw")}>{JSON.stringify(run.outcome, null, 2)}</Pre>
          </div>
        </details>
      )}
    </div>
  );
}

function Pre({ label, children }: { label: string; children: string }) {
  return (
    <section
      aria-label={label}
      tabIndex={0}
      className="mono max-h-96 overflow-auto whitespace-pre rounded-m border border-line bg-sunken px-3 py-2 text-xs"
    >
      {children}
    </section>
  );
}

function Undo({ run }: { run: Run }) {
  const t = useText(text);
  const navigate = useNavigate();
  const may = useCan("hosts:command");
  const refresh = useFreshen("commands");
  const { act } = useAction();
  const [asking, setAsking] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button icon={Undo2} onClick={() => setAsking(true)}>
        {t("undo")}
      </Button>
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={t("undoTitle", { host: run.host_name })}
        description={t("undoHint")}
        action={t("undone")}
        onConfirm={async () => {
          const action = { kind: "undo", command: run.id } as unknown as Record<string, never>;
          const body = { action, hosts: { ids: [run.host] }, dry_run: false, reason: "" };
          const made = await act(() => must(api.POST("/api/v1/commands", { body: body as never })));
          refresh();
          if (made) await navigate({ to: "/commands/$id", params: { id: made.id } });
        }}
      />
    </>
  );
}
