import { useQuery } from "@tanstack/react-query";
import { Download, ShieldCheck } from "lucide-react";
import { useState } from "react";
import { useAction } from "@/app/action";
import { fetchFile } from "@/app/fetch-file";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { At } from "@/ui/time";
import { done, failed } from "@/ui/toast";
import type { TabProps } from "../page";
import { type Baseline, baselinesQuery, changesQuery, packsQuery, proofOf, shownValue } from "./data";
import { text } from "./strings";

const TONES = { waiting: "accent", kept: "good", lost: "critical", removed: "neutral" } as const;
const CHANGES = { added: "added", removed: "removed", changed: "modified" } as const;

/** What the server keeps of a host: what its files were, and what was collected there. */
export function Evidence({ host }: TabProps) {
  return (
    <div className="flex min-h-0 flex-col gap-4 overflow-auto px-4 pb-8 pt-4 md:px-6">
      <Baselines id={host.id} />
      <Packs id={host.id} name={host.name} />
    </div>
  );
}

function Standing({ one }: { one: Baseline }) {
  const t = useText(text);
  if (one.replaced) {
    return (
      <span title={t("replacedHint")}>
        <Badge tone="critical">{t("replaced")}</Badge>
      </span>
    );
  }
  return (
    <span title={one.kept ? undefined : t("rootOnlyHint")}>
      <Badge tone={one.kept ? "good" : "neutral"}>{t(one.kept ? "follows" : "rootOnly")}</Badge>
    </span>
  );
}

function Baselines({ id }: { id: string }) {
  const t = useText(text);
  const format = useFormat();
  const query = useQuery(baselinesQuery(id));
  const [shown, setShown] = useState<number | null>(null);
  const { busy, act } = useAction();
  const verify = (number: number) =>
    void act(() => proofOf(id, number)).then((proof) => {
      if (!proof) return;
      const sound = proof.signature_valid && proof.content_valid !== false && proof.follows !== false;
      if (!sound) failed(new Error(t("broken")));
      else done(t(proof.content_valid ? "sound" : "unkept"));
    });
  return (
    <Panel title={t("baselines")} label={t("baselines")} flush>
      <p className="m-0 px-4 pb-2 text-sm text-text-3">{t("baselinesHint")}</p>
      <Loaded query={query} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="m-0 px-4 pb-4 text-sm">{t("noBaselines")}</p>
          ) : (
            <Table
              label={t("baselines")}
              rows={items}
              rowId={(one) => String(one.number)}
              heads={[
                { id: "number", label: t("number"), cell: (one) => <span className="num">{one.number}</span> },
                { id: "made", label: t("made"), cell: (one) => <At time={one.made} /> },
                { id: "standing", label: t("standing"), cell: (one) => <Standing one={one} /> },
                { id: "folders", label: t("folders"), end: true, cell: (one) => format.number(one.folders) },
                { id: "changed", label: t("changed"), end: true, cell: (one) => format.number(one.folders_changed) },
                { id: "bytes", label: t("bytes"), end: true, cell: (one) => format.bytes(one.bytes) },
                {
                  id: "do",
                  label: "",
                  end: true,
                  cell: (one) => (
                    <span className="inline-flex gap-2">
                      {one.kept && items.some((before) => before.number === one.number - 1 && before.kept) && (
                        <Button onClick={() => setShown(shown === one.number ? null : one.number)}>
                          {t("changes")}
                        </Button>
                      )}
                      <Button icon={ShieldCheck} busy={busy} onClick={() => verify(one.number)}>
                        {t("verify")}
                      </Button>
                    </span>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {shown !== null && <Changes id={id} number={shown} />}
    </Panel>
  );
}

function Changes({ id, number }: { id: string; number: number }) {
  const t = useText(text);
  const query = useQuery(changesQuery(id, number));
  const title = t("changesOf", { number: String(number), since: String(number - 1) });
  return (
    <section className="border-t border-line" aria-label={title}>
      <h3 className="m-0 px-4 pb-2 pt-4 text-sm font-semibold">{title}</h3>
      <Loaded query={query} rows={3}>
        {({ items, more }) =>
          items.length === 0 ? (
            <p className="m-0 px-4 pb-4 text-sm">{t("noChanges")}</p>
          ) : (
            <>
              <Table
                label={title}
                rows={items}
                rowId={(one) => one.path}
                heads={[
                  { id: "path", label: t("path"), cell: (one) => <span className="mono break-all">{one.path}</span> },
                  {
                    id: "what",
                    label: t("what"),
                    cell: (one) => (
                      <>
                        {t(CHANGES[one.change as keyof typeof CHANGES])}
                        {one.properties.length > 0 && `: ${one.properties.join(", ")}`}
                      </>
                    ),
                  },
                  {
                    id: "before",
                    label: t("before"),
                    cell: (one) => <span className="mono break-all">{shownValue(one.before, one.properties)}</span>,
                  },
                  {
                    id: "now",
                    label: t("now"),
                    cell: (one) => <span className="mono break-all">{shownValue(one.now, one.properties)}</span>,
                  },
                ]}
              />
              {more && <p className="m-0 px-4 py-3 text-sm text-text-3">{t("moreChanges")}</p>}
            </>
          )
        }
      </Loaded>
    </section>
  );
}

function Packs({ id, name }: { id: string; name: string }) {
  const t = useText(text);
  const format = useFormat();
  const may = useCan("hosts:command");
  const { busy, act } = useAction();
  const query = useQuery(packsQuery(id));
  const take = (pack: string) =>
    void act(() => fetchFile(`/api/v1/hosts/${id}/evidence/${pack}`, `evidence-${name}-${pack}.tar.zst`));
  return (
    <Panel title={t("packs")} label={t("packs")} flush>
      <Loaded query={query} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="m-0 px-4 pb-4 text-sm">{t("noPacks")}</p>
          ) : (
            <Table
              label={t("packs")}
              rows={items}
              rowId={(pack) => pack.id}
              heads={[
                { id: "told", label: t("told"), cell: (pack) => <At time={pack.told} /> },
                {
                  id: "state",
                  label: t("standing"),
                  cell: (pack) => (
                    <span title={pack.text || undefined}>
                      <Badge tone={TONES[pack.state as keyof typeof TONES]}>
                        {t(`state_${pack.state as keyof typeof TONES}`)}
                      </Badge>
                    </span>
                  ),
                },
                { id: "entries", label: t("entries"), end: true, cell: (pack) => format.number(pack.entries) },
                { id: "bytes", label: t("bytes"), end: true, cell: (pack) => format.bytes(pack.bytes) },
                {
                  id: "take",
                  label: "",
                  end: true,
                  cell: (pack) =>
                    may && pack.state === "kept" ? (
                      <Button icon={Download} busy={busy} onClick={() => take(pack.id)}>
                        {t("take")}
                      </Button>
                    ) : null,
                },
              ]}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}
