import { useQueryClient } from "@tanstack/react-query";
import { CircleCheck, Hand, RotateCcw } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useKeys } from "@/app/keys";
import { useText } from "@/app/preferences";
import type { Alert } from "@/pages/alerts/data";
import { text } from "@/pages/alerts/strings";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Field, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { done, failed } from "@/ui/toast";

const VERDICTS = ["true_positive", "false_positive", "benign", "duplicate"] as const;
type Verdict = (typeof VERDICTS)[number];

/** Asks what an alert turned out to be. */
export function CloseDialog({
  open,
  onClose,
  onDecide,
}: {
  open: boolean;
  onClose: () => void;
  onDecide: (verdict: Verdict, reason: string) => Promise<void>;
}) {
  const t = useText(text);
  const [verdict, setVerdict] = useState<Verdict>("true_positive");
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const decide = async () => {
    setBusy(true);
    try {
      await onDecide(verdict, reason);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={t("closeTitle")}
      footer={
        <Button look="primary" busy={busy} disabled={!reason.trim()} onClick={() => void decide()}>
          {t("closeAction")}
        </Button>
      }
    >
      <div className="flex flex-col gap-5">
        <fieldset className="m-0 grid gap-2 border-0 p-0 sm:grid-cols-2">
          <legend className="mb-1.5 p-0 text-sm font-medium">{t("verdict")}</legend>
          {VERDICTS.map((value) => (
            <label
              key={value}
              className={classes(
                "flex cursor-pointer gap-2.5 rounded-m border p-3 text-sm has-[:focus-visible]:outline-2 has-[:focus-visible]:outline-focus",
                value === verdict ? "border-accent bg-accent-soft" : "border-line-strong hover:bg-hover",
              )}
            >
              <input
                type="radio"
                name="verdict"
                checked={value === verdict}
                onChange={() => setVerdict(value)}
                className="mt-1 accent-(--accent)"
              />
              <span>
                <span className="block font-medium">{t(value)}</span>
                <span className="block text-xs text-text-2">{t(`${value}Hint`)}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <Field label={t("reason")} hint={t("reasonHint")}>
          {(ids) => <Textarea {...ids} value={reason} onChange={(event) => setReason(event.target.value)} rows={3} />}
        </Field>
      </div>
    </Dialog>
  );
}

/** What can be done with an alert; the first letters are its keys. */
export function Triage({ alert }: { alert: Alert }) {
  const t = useText(text);
  const client = useQueryClient();
  const [closing, setClosing] = useState(false);
  const params = { path: { id: alert.id } };
  const after = async (change: Promise<Alert>, message: string) => {
    try {
      const next = await change;
      client.setQueryData(["alerts", "one", alert.id], (before: Alert | undefined) => ({
        ...before,
        ...next,
        evidence: next.evidence ?? before?.evidence,
      }));
      void client.invalidateQueries({ queryKey: ["alerts"] });
      setClosing(false);
      done(message);
    } catch (error) {
      failed(error);
    }
  };
  const acknowledge = () =>
    void after(must(api.POST("/api/v1/alerts/{id}/acknowledge", { params, body: { note: "" } })), t("acknowledgeDone"));
  const reopen = () => void after(must(api.POST("/api/v1/alerts/{id}/reopen", { params })), t("reopenDone"));
  const open = alert.status !== "closed";
  useKeys({
    ...(alert.status === "new" ? { a: acknowledge } : {}),
    ...(open ? { c: () => setClosing(true) } : { o: reopen }),
  });
  return (
    <fieldset aria-label={t("triage")} className="m-0 flex flex-wrap gap-2 border-0 p-0">
      {alert.status === "new" && (
        <Button icon={Hand} onClick={acknowledge}>
          {t("acknowledge")}
        </Button>
      )}
      {open ? (
        <Button look="primary" icon={CircleCheck} onClick={() => setClosing(true)}>
          {t("close")}
        </Button>
      ) : (
        <Button icon={RotateCcw} onClick={reopen}>
          {t("reopen")}
        </Button>
      )}
      <CloseDialog
        open={closing}
        onClose={() => setClosing(false)}
        onDecide={(verdict, reason) =>
          after(must(api.POST("/api/v1/alerts/{id}/close", { params, body: { verdict, reason } })), t("closeDone"))
        }
      />
    </fieldset>
  );
}
