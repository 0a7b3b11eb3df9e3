import { useQuery } from "@tanstack/react-query";
import { Download, ShieldAlert, ShieldCheck, Stamp } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Button } from "@/ui/button";
import { Facts } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { At } from "@/ui/time";
import { text } from "./strings";

type Checkpoint = Schema<"CheckpointView">;
type Verdict = Schema<"VerificationView"> & { last_checkpoint?: Checkpoint | null };

const verifyQuery = {
  queryKey: ["audit-verification"],
  queryFn: (): Promise<Verdict> => must(api.GET("/api/v1/audit/verify")),
  gcTime: 0,
  staleTime: 0,
};
const keyQuery = { queryKey: ["audit-key"], queryFn: () => must(api.GET("/api/v1/audit/key")) };

function save(checkpoint: Checkpoint): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(checkpoint, null, 2)], { type: "application/json" }));
  link.download = `guardian-checkpoint-${checkpoint.seq}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Walks the chain and says what it found; and signs where it stands. */
export function Verification() {
  const t = useText(text);
  const verdict = useQuery(verifyQuery);
  const key = useQuery(keyQuery);
  const { busy, act } = useAction();
  const [made, setMade] = useState<Checkpoint | null>(null);
  const sign = async () => {
    const checkpoint = await act(() => must(api.POST("/api/v1/audit/checkpoints")));
    if (!checkpoint) return;
    setMade(checkpoint);
    await verdict.refetch();
  };
  return (
    <div className="flex flex-col gap-5">
      <Loaded query={verdict} rows={4}>
        {(found) => <Found verdict={found} />}
      </Loaded>
      {key.data && (
        <Facts
          items={[
            [
              t("key"),
              <span key="k" className="mono break-all text-text-2">
                {key.data.public_key}
              </span>,
            ],
          ]}
        />
      )}
      <p className="m-0 text-sm text-text-2">{t("checkpointHint")}</p>
      <div className="flex flex-wrap gap-2">
        <Button icon={Stamp} busy={busy} onClick={() => void sign()}>
          {t("checkpoint")}
        </Button>
        {made && (
          <Button look="primary" icon={Download} onClick={() => save(made)}>
            {t("save")}
          </Button>
        )}
      </div>
    </div>
  );
}

function Found({ verdict }: { verdict: Verdict }) {
  const t = useText(text);
  const format = useFormat();
  const intact = verdict.result === "intact";
  const Icon = intact ? ShieldCheck : ShieldAlert;
  const last = verdict.last_checkpoint;
  return (
    <div className="flex flex-col gap-4">
      <div
        role="status"
        className={
          intact
            ? "flex gap-3 rounded-m bg-good-soft p-3 text-good"
            : "flex gap-3 rounded-m bg-critical-soft p-3 text-critical"
        }
      >
        <Icon aria-hidden size={20} className="shrink-0" />
        <div className="text-sm">
          <div className="font-semibold">{t(intact ? "intact" : "broken")}</div>
          <div>{intact ? t("intactHint") : t("brokenAt", { seq: verdict.seq ?? 0 })}</div>
          {verdict.problem && <div>{verdict.problem}</div>}
        </div>
      </div>
      <Facts
        items={[
          [t("entries"), verdict.entries == null ? null : format.number(verdict.entries)],
          [
            t("head"),
            verdict.head && (
              <span key="h" className="mono break-all">
                {verdict.head}
              </span>
            ),
          ],
          [t("checkpoints"), verdict.checkpoints == null ? null : format.number(verdict.checkpoints)],
          [
            t("lastCheckpoint"),
            last && (
              <span key="l">
                <At time={last.time} />, {t("upTo", { seq: last.seq })}
              </span>
            ),
          ],
        ]}
      />
    </div>
  );
}
