import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { text } from "@/pages/rules/strings";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Select } from "@/ui/form";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { At } from "@/ui/time";

type Version = Schema<"RuleVersionView">;
type Diff = Schema<"RuleDiff">;

/** Every text that a rule had, what changed between two, and the way back to an old one. */
export function Versions({ rule }: { rule: string }) {
  const query = useQuery({
    queryKey: ["rules", "versions", rule],
    queryFn: () => must(api.GET("/api/v1/rules/{id}/versions", { params: { path: { id: rule } } })),
  });
  return (
    <Loaded query={query} rows={6}>
      {(data) => <List rule={rule} versions={data.items} />}
    </Loaded>
  );
}

function List({ rule, versions }: { rule: string; versions: readonly Version[] }) {
  const t = useText(text);
  const write = useCan("rules:write");
  const refresh = useFreshen("rules");
  const { busy, act } = useAction();
  const newest = versions[0]?.version ?? 1;
  const [to, setTo] = useState(newest);
  const [from, setFrom] = useState(versions[1]?.version ?? 0);
  const diff = useQuery({
    queryKey: ["rules", "diff", rule, from, to],
    queryFn: () => must(api.GET("/api/v1/rules/{id}/diff", { params: { path: { id: rule }, query: { from, to } } })),
  });
  const restore = (version: number) =>
    void act(
      () => must(api.POST("/api/v1/rules/{id}/restore", { params: { path: { id: rule } }, body: { version } })),
      t("restored", { version }),
    ).then(refresh);
  const names = [
    { value: "0", label: t("versionNone") },
    ...versions.map((one) => ({ value: String(one.version), label: t("versionNumber", { version: one.version }) })),
  ];
  return (
    <div className="grid items-start gap-4 lg:grid-cols-[320px_minmax(0,1fr)]">
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
                  {t("versionNumber", { version: one.version })}
                </button>
                {one.current && <Badge tone="good">{t("versionCurrent")}</Badge>}
                {write && !one.current && (
                  <Button className="ml-auto !h-7" busy={busy} onClick={() => restore(one.version)}>
                    {t("restore")}
                  </Button>
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
        aside={
          <span className="flex gap-2">
            <Select
              label={t("diffFrom")}
              value={String(from)}
              onChange={(next) => setFrom(Number(next))}
              options={names}
            />
            <Select label={t("diffTo")} value={String(to)} onChange={(next) => setTo(Number(next))} options={names} />
          </span>
        }
        flush
      >
        <Loaded query={diff} rows={8}>
          {(data) => <Lines diff={data} />}
        </Loaded>
      </Panel>
    </div>
  );
}

const SIGNS: Record<string, string> = { added: "+", removed: "−", same: " " };

function Lines({ diff }: { diff: Diff }) {
  const t = useText(text);
  const names: Record<string, string> = { added: t("diffAdded"), removed: t("diffRemoved"), same: "" };
  return (
    <>
      <p className="num m-0 px-4 pb-2 text-xs text-text-3">
        {t("diffCount", { added: diff.added, removed: diff.removed })}
      </p>
      <section aria-label={t("diff")} tabIndex={0} className="max-h-[640px] overflow-auto border-t border-line">
        <table className="mono w-full border-collapse text-xs leading-5">
          <tbody>
            {diff.lines.map((line, index) => (
              <tr
                key={index}
                className={classes(
                  line.kind === "added" && "bg-good-soft",
                  line.kind === "removed" && "bg-critical-soft",
                )}
              >
                <td className="num w-10 select-none px-2 text-right text-text-3">{line.old ?? ""}</td>
                <td className="num w-10 select-none px-2 text-right text-text-3">{line.new ?? ""}</td>
                <td className="w-6 select-none text-center">
                  <span aria-hidden>{SIGNS[line.kind] ?? " "}</span>
                  <span className="sr-only">{names[line.kind]}</span>
                </td>
                <td className="whitespace-pre pr-4">{line.text}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}
