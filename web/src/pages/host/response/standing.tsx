import { useQuery } from "@tanstack/react-query";
import { Ban, CircleCheck, FileLock2, type LucideIcon, Network, UserLock, X } from "lucide-react";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import type { Preset } from "@/pages/commands/actions";
import { Button, IconButton } from "@/ui/button";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { useNow } from "@/ui/time";
import { endingOf, type Held, HOLDING, type Holding, standingOf, standingQuery } from "./data";
import { text } from "./strings";

const ICONS: Record<Holding, LucideIcon> = {
  isolate: Network,
  block: Ban,
  quarantine: FileLock2,
  disable_user: UserLock,
};
/** Of one kind, before the rest must be asked for. */
const SHOWN = 6;

interface Props {
  host: string;
  /** Begins an action. */
  onGive: (preset: Preset) => void;
  /** Opens what came of a command. */
  onOpen: (command: string) => void;
}

/** What holds on this host until something ends it: isolation, blocks, files that were taken, accounts that are locked. */
export function Standing(props: Props) {
  const t = useText(text);
  const now = useNow();
  const query = useQuery(standingQuery(props.host));
  return (
    <Panel label={t("standing")} title={t("standing")} className="mx-3 mt-3 max-h-72 shrink-0 overflow-auto md:mx-6">
      <Loaded query={query} rows={2}>
        {({ deeds, cut }) => {
          const held = standingOf(deeds, now);
          return (
            <div className="flex flex-col gap-2 text-sm">
              {held.length === 0 && !cut && (
                <p className="m-0 flex items-start gap-2 text-text-2">
                  <CircleCheck aria-hidden size={15} className="mt-0.5 shrink-0 text-good" />
                  {t("nothingStands")}
                </p>
              )}
              {HOLDING.map((kind) => (
                <Kind key={kind} kind={kind} all={held.filter((one) => one.kind === kind)} {...props} />
              ))}
              {cut && <p className="m-0 text-xs text-medium">{t("standingCut")}</p>}
              {held.length > 0 && <p className="m-0 text-xs text-text-3">{t("standingHint")}</p>}
            </div>
          );
        }}
      </Loaded>
    </Panel>
  );
}

function Kind({ kind, all, ...props }: Props & { kind: Holding; all: readonly Held[] }) {
  const t = useText(text);
  const [whole, setWhole] = useState(false);
  if (all.length === 0) return null;
  const Icon = ICONS[kind];
  const shown = whole ? all : all.slice(0, SHOWN);
  return (
    <div className="flex flex-wrap items-start gap-x-3 gap-y-1.5">
      <h3 className="m-0 flex h-7 w-36 shrink-0 items-center gap-2 text-sm font-medium text-high">
        <Icon aria-hidden size={15} className="shrink-0" />
        {t(`held_${kind}`)}
        {kind !== "isolate" && <span className="num text-text-3">{all.length}</span>}
      </h3>
      <ul className="m-0 flex min-w-0 flex-1 basis-64 list-none flex-wrap gap-1.5 p-0">
        {shown.map((one) => (
          <One key={one.run.id} one={one} {...props} />
        ))}
        {all.length > SHOWN && (
          <li>
            <Button look="quiet" className="!h-7" onClick={() => setWhole(!whole)} aria-expanded={whole}>
              {whole ? t("less") : t("moreHeld", { n: all.length - SHOWN })}
            </Button>
          </li>
        )}
      </ul>
    </div>
  );
}

function One({ one, onGive, onOpen }: { one: Held } & Props) {
  const t = useText(text);
  const format = useFormat();
  const may = useCan("hosts:command");
  const { what, kind } = one;
  const until = one.until === null ? t("untilEnded") : t("untilThen", { when: format.time(one.until) });
  // What is taken away stays away: nothing ends it but somebody.
  const timed = kind === "isolate" || kind === "block";
  const shown = what || t(`held_${kind}`);
  return (
    <li className="flex h-7 min-w-0 max-w-full items-center rounded-m border border-line-strong/70 bg-raised">
      <button
        type="button"
        title={what || undefined}
        aria-label={`${t("open", { what: shown })}${timed ? `, ${until}` : ""}`}
        onClick={() => onOpen(one.command.id)}
        className="flex h-full min-w-0 items-center gap-2 rounded-m px-2.5 hover:bg-hover"
      >
        {what && <span className="mono truncate">{what}</span>}
        {timed && <span className="num shrink-0 text-xs text-text-2">{until}</span>}
        {!timed && (
          <span className="num shrink-0 text-xs text-text-3">{one.run.ended ? format.time(one.run.ended) : ""}</span>
        )}
      </button>
      {may && (
        <IconButton
          label={kind === "isolate" ? t("end_isolate") : t(`end_${kind}`, { what })}
          icon={X}
          size={14}
          className="!h-full !w-7"
          onClick={() => onGive(endingOf(one))}
        />
      )}
    </li>
  );
}
