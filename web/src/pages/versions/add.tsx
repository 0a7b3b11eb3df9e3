import { useState } from "react";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { addRelease } from "./data";
import { text } from "./strings";

const SIGNING = `guardian-agent release-key --out release.key
guardian-agent sign-release --key release.key --notes '…' guardian-agent > 1.2.0.json`;

/** Brings a program and what was signed of it. */
export function AddRelease({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useText(text);
  return (
    <Dialog open={open} onClose={onClose} title={t("add")} description={t("addLead")}>
      {open && <AddForm onClose={onClose} />}
    </Dialog>
  );
}

function AddForm({ onClose }: { onClose: () => void }) {
  const t = useText(text);
  const refresh = useFreshen("releases", "install-kit");
  const { busy, act } = useAction();
  const [program, setProgram] = useState<File | null>(null);
  const [signed, setSigned] = useState<File | null>(null);
  const add = async () => {
    if (!program || !signed) return;
    const added = await act(() => addRelease(program, signed));
    refresh();
    if (added) onClose();
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void add();
      }}
      className="flex flex-col gap-4"
    >
      <Field label={t("program")} hint={t("programHint")}>
        {(ids) => (
          <Input
            {...ids}
            type="file"
            required
            className="!h-auto py-1"
            onChange={(event) => setProgram(event.target.files?.[0] ?? null)}
          />
        )}
      </Field>
      <Field label={t("signed")} hint={t("signedHint")}>
        {(ids) => (
          <Input
            {...ids}
            type="file"
            required
            className="!h-auto py-1"
            onChange={(event) => setSigned(event.target.files?.[0] ?? null)}
          />
        )}
      </Field>
      <details>
        <summary className="cursor-pointer text-sm text-text-2">{t("howSigned")}</summary>
        <pre className="mono m-0 mt-2 overflow-x-auto rounded-m bg-sunken p-3 text-xs">{SIGNING}</pre>
      </details>
      <Button type="submit" look="primary" busy={busy} disabled={!program || !signed} className="self-end">
        {t("addAction")}
      </Button>
    </form>
  );
}
