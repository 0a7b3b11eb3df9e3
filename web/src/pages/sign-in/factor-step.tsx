import { Fingerprint } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import type { Session } from "@/app/session";
import { CodeInput } from "@/factors/code-input";
import { ownPasskey, passkeysPossible } from "@/factors/passkeys";
import { text as factorText } from "@/factors/strings";
import { factorTrouble } from "@/factors/trouble";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Trouble } from "@/ui/trouble";
import { Frame } from "./frame";
import { text } from "./strings";

const QUIET = "self-center text-sm text-text-2 hover:text-text";

/** After the password: a code of the app, a passkey, or a recovery code. */
export function FactorStep({
  session,
  onDone,
  onLeave,
}: {
  session: Session;
  onDone: (session: Session) => void;
  onLeave: () => void;
}) {
  const t = useText(text);
  const f = useText(factorText);
  const { methods } = session.mfa;
  const passkey = methods.includes("passkey") && passkeysPossible();
  // Accounts with only a passkey have no app to ask.
  const [recovery, setRecovery] = useState(!methods.includes("totp") && !passkey);
  const [code, setCode] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const attempt = async (run: () => Promise<Session>) => {
    setBusy(true);
    setProblem(null);
    try {
      onDone(await run());
    } catch (error) {
      setCode("");
      setProblem(factorTrouble(error, f));
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(() => must(api.POST("/api/v1/session/factor", { body: { code: code.trim() } })));
  };
  const givePasskey = () =>
    void attempt(async () => must(api.POST("/api/v1/session/factor", { body: { passkey: await ownPasskey() } })));
  const typed = recovery || methods.includes("totp");
  return (
    <Frame
      title={t("factorTitle")}
      lead={t(recovery ? "recoveryLead" : typed ? "factorLead" : "passkeyLead", { name: session.name })}
    >
      <form onSubmit={submit} className="flex flex-col gap-4">
        {problem && <Trouble>{problem}</Trouble>}
        {recovery ? (
          <Field key="recovery" label={t("recoveryCode")}>
            {(ids) => (
              <Input
                {...ids}
                value={code}
                autoFocus
                required
                autoComplete="off"
                spellCheck={false}
                className="mono !h-10"
                onChange={(event) => setCode(event.target.value)}
              />
            )}
          </Field>
        ) : (
          typed && (
            <Field key="code" label={f("code")}>
              {(ids) => <CodeInput {...ids} value={code} onChange={setCode} autoFocus className="!h-10 !text-lg" />}
            </Field>
          )
        )}
        {typed && (
          <Button type="submit" look="primary" busy={busy} disabled={code.trim() === ""} className="!h-10">
            {f("confirm")}
          </Button>
        )}
        {passkey && !recovery && (
          <Button
            look={typed ? "plain" : "primary"}
            icon={Fingerprint}
            busy={busy && code === ""}
            onClick={givePasskey}
            className="!h-10"
          >
            {t("usePasskey")}
          </Button>
        )}
        <button
          type="button"
          className={QUIET}
          onClick={() => {
            setRecovery(!recovery);
            setCode("");
            setProblem(null);
          }}
        >
          {t(recovery ? "useFactor" : "useRecovery")}
        </button>
        <button type="button" className={QUIET} onClick={onLeave}>
          {t("otherAccount")}
        </button>
      </form>
    </Frame>
  );
}
