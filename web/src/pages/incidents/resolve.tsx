import { useState } from "react";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import { Field, Select, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import type { Status } from "./data";
import { text } from "./strings";

const VERDICTS = ["true_positive", "false_positive", "benign"] as const;

/** Asks how it ended, before an incident is resolved or closed. */
export function Resolve({
  target,
  onClose,
  onDecide,
}: {
  target: Status | null;
  onClose: () => void;
  onDecide: (verdict: string, resolution: string) => void;
}) {
  const t = useText(text);
  const [verdict, setVerdict] = useState<(typeof VERDICTS)[number]>("true_positive");
  const [resolution, setResolution] = useState("");
  return (
    <Dialog
      open={target !== null}
      onClose={onClose}
      title={target ? t("to", { status: t(target) }) : ""}
      footer={
        <Button look="primary" disabled={!resolution.trim()} onClick={() => onDecide(verdict, resolution)}>
          {target ? t(target) : ""}
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label={t("verdict")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("verdict")}
              value={verdict}
              onChange={setVerdict}
              options={VERDICTS.map((value) => ({ value, label: t(value) }))}
              className="w-full"
            />
          )}
        </Field>
        <Field label={t("resolution")} hint={t("resolutionHint")}>
          {(ids) => (
            <Textarea {...ids} rows={4} value={resolution} onChange={(event) => setResolution(event.target.value)} />
          )}
        </Field>
      </div>
    </Dialog>
  );
}
