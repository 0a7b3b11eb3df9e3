import { type FormEvent, useState, useSyncExternalStore } from "react";
import { api, must } from "@/api/client";
import { catalogue } from "@/i18n/text";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { useText } from "./preferences";
import { answerProof, proofStore } from "./proof";

const text = catalogue({
  title: ["Confirm that it is you", "Bestätigen Sie, dass Sie es sind"],
  hint: [
    "This change is sensitive. Your confirmation holds for ten minutes.",
    "Diese Änderung ist heikel. Ihre Bestätigung gilt zehn Minuten.",
  ],
  password: ["Your password", "Ihr Passwort"],
  confirm: ["Confirm", "Bestätigen"],
});

export function ProofDialog() {
  const asked = useSyncExternalStore(proofStore.subscribe, proofStore.asked);
  const t = useText(text);
  return (
    <Dialog open={asked} onClose={() => answerProof(false)} title={t("title")} description={t("hint")}>
      {asked && <Form />}
    </Dialog>
  );
}

function Form() {
  const t = useText(text);
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await must(api.POST("/api/v1/session/proof", { body: { password } }));
      answerProof(true);
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <Field label={t("password")} error={problem}>
        {(ids) => (
          <Input
            {...ids}
            type="password"
            autoComplete="current-password"
            autoFocus
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        )}
      </Field>
      <Button type="submit" look="primary" busy={busy} disabled={!password} className="self-end">
        {t("confirm")}
      </Button>
    </form>
  );
}
