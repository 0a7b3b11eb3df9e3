import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useText } from "@/app/preferences";
import { type Command, outcomeOf, type Run, runQuery } from "@/pages/commands/data";
import { MoveButtons, movesOnHost } from "@/pages/commands/moves";
import { CommandFacts, RunStateMark, useActionName } from "@/pages/commands/parts";
import { text } from "@/pages/commands/strings";
import { Badge } from "@/ui/badge";
import { Dialog } from "@/ui/overlay";
import { Facts } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { At } from "@/ui/time";
import { Pack } from "./pack";

interface Props {
  command: Command;
  /** On the page of the host itself: what it was told comes first, and all that can be done about it there. */
  here?: { onGiven: (command: Command) => void } | undefined;
}

/** What one host did with a command, step by step. */
export function RunSheet({
  host,
  onClose,
  ...props
}: Props & {
  host: string | undefined;
  onClose: () => void;
}) {
  const name = useActionName();
  const query = useQuery({ ...runQuery(props.command.id, host ?? ""), enabled: host !== undefined });
  const title = props.here ? name(props.command.kind) : (query.data?.host_name ?? "");
  return (
    <Dialog open={host !== undefined} onClose={onClose} title={title} sheet>
      {host !== undefined && (
        <Loaded query={query} rows={6}>
          {(run) => <Detail run={run} {...props} />}
        </Loaded>
      )}
    </Dialog>
  );
}

const LINK = "text-sm font-medium text-accent no-underline hover:underline";

function Detail({ command, run, here }: Props & { run: Run }) {
  const t = useText(text);
  const outcome = outcomeOf(run);
  const title = "m-0 mb-2 text-sm font-semibold";
  const moves = movesOnHost(command, run);
  return (
    <div className="flex flex-col gap-5">
      <div className="flex flex-wrap items-center gap-3">
        <RunStateMark state={run.state} />
        {here && command.dry_run && <Badge tone="accent">{t("rehearsal")}</Badge>}
        {here ? (
          <Link to="/commands/$id" params={{ id: command.id }} className={LINK}>
            {t("wholeCommand", { n: command.hosts })}
          </Link>
        ) : (
          <Link to="/hosts/$id" params={{ id: run.host }} className={LINK}>
            {run.host_name}
          </Link>
        )}
        <MoveButtons
          command={command}
          run={run}
          moves={here ? moves : moves.filter((move) => move === "undo")}
          hosts={() => Promise.resolve([run.host])}
          count={1}
          onGiven={here?.onGiven}
        />
      </div>
      {run.text && <p className="m-0 break-words text-sm">{run.text}</p>}
      <Facts
        items={[
          [t("author"), here && command.author],
          [t("created"), here && <At time={command.created} />],
          [t("told"), run.sent && <At time={run.sent} />],
          [t("begun"), run.begun && <At time={run.begun} />],
          [t("ended"), run.ended && <At time={run.ended} />],
          [t("refused"), outcome.denied && <span className="mono">{outcome.denied}</span>],
        ]}
      />
      {here && (
        <section>
          <h3 className={title}>{t("facts")}</h3>
          <CommandFacts command={command} />
        </section>
      )}
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
