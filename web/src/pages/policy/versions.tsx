import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { diffLines, type Policy, type PolicyVersion, policyVersionsQuery, textOfDocument } from "@/pages/policies/data";
import { text } from "@/pages/policies/strings";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { At } from "@/ui/time";

/** Everything that a policy said, what changed between two versions, and the way back to an old one. */
export function Versions({ policy, onTake }: { policy: Policy; onTake: (document: unknown) => void }) {
  const query = useQuery(policyVersionsQuery(policy.id));
  return (
    <Loaded query={query} rows={6}>
      {(data) => <List policy={policy} versions={data.items} onTake={onTake} />}
    </Loaded>
  );
}

const SIGNS = { added: "+", removed: "−", same: " " } as const;

function List({
  policy,
  versions,
  onTake,
}: {
  policy: Policy;
  versions: readonly PolicyVersion[];
  onTake: (document: unknown) => void;
}) {
  const t = useText(text);
  const write = useCan("policies:write");
  const [to, setTo] = useState(versions[0]?.version ?? 1);
  const [from, setFrom] = useState(versions[1]?.version ?? 0);
  const said = (number: number) => {
    const found = versions.find((one) => one.version === number);
    return found ? textOfDocument(found.document) : "";
  };
  const lines = diffLines(said(from), said(to));
  const names = [
    { value: "0", label: t("empty") },
    ...versions.map((one) => ({ value: String(one.version), label: t("number", { version: one.version }) })),
  ];
  const words = { added: t("added"), removed: t("removed"), same: "" };
  return (
    <div className="grid items-start gap-4 px-4 pt-4 md:px-6 lg:grid-cols-[320px_minmax(0,1fr)]">
      <Panel title={t("versions")}>
        <ol className="m-0 list-none p-0">
          {versions.map((one) => (
            <li key={one.version} className="border-t border-line py-2.5 text-sm first:border-0 first:pt-0">
              <div className="flex items-center gap-2">
                <button
                  type="button"
                  className="font-medium hover:text-accent"
                  onClick={() => {
                    setTo(one.version);
                    setFrom(one.version - 1);
                  }}
                >
                  {t("number", { version: one.version })}
                </button>
                {one.version === policy.version ? (
                  <Badge tone="good">{t("current")}</Badge>
                ) : (
                  write && (
                    <Button className="ml-auto !h-7" onClick={() => onTake(one.document)}>
                      {t("restore")}
                    </Button>
                  )
                )}
              </div>
              <div className="text-xs text-text-3">
                {one.author} · <At time={one.created} />
              </div>
              {one.comment && <div className="mt-0.5 text-text-2">{one.comment}</div>}
            </li>
          ))}
        </ol>
      </Panel>
      <Panel
        title={t("diff")}
        flush
        aside={
          <span className="flex gap-2">
            <Select label={t("from")} value={String(from)} onChange={(next) => setFrom(Number(next))} options={names} />
            <Select label={t("to")} value={String(to)} onChange={(next) => setTo(Number(next))} options={names} />
          </span>
        }
      >
        {lines.every((line) => line.kind === "same") && (
          <p className="m-0 px-4 pb-3 text-sm text-text-3">{t("same")}</p>
        )}
        <section aria-label={t("diff")} tabIndex={0} className="max-h-[640px] overflow-auto border-t border-line">
          <table className="mono w-full border-collapse text-xs leading-5">
            <tbody>
              {lines.map((line, index) => (
                <tr
                  key={index}
                  className={classes(
                    line.kind === "added" && "bg-good-soft",
                    line.kind === "removed" && "bg-critical-soft",
                  )}
                >
                  <td className="w-6 select-none pl-3 text-center">
                    <span aria-hidden>{SIGNS[line.kind]}</span>
                    <span className="sr-only">{words[line.kind]}</span>
                  </td>
                  <td className="whitespace-pre pr-4">{line.text}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      </Panel>
    </div>
  );
}
