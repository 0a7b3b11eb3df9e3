import { useQuery } from "@tanstack/react-query";
import { Fingerprint } from "lucide-react";
import { type FormEvent, useState, useSyncExternalStore } from "react";
import { api, must, Problem } from "@/api/client";
import { ownPasskey, passkeysPossible } from "@/factors/passkeys";
import { text as factorText } from "@/factors/strings";
import { factorTrouble } from "@/factors/trouble";
import { catalogue } from "@/i18n/text";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Trouble } from "@/ui/trouble";
import { useText } from "./preferences";
import { answerProof, proofStore } from "./proof";
import { sessionQuery } from "./session";

const text = catalogue({
  title: ["Confirm that it is you", "Bestätigen Sie, dass Sie es sind"],
  hint: [
    "This change is sensitive. Your confirmation holds for ten minutes.",
    "Diese Änderung ist heikel. Ihre Bestätigung gilt zehn Minuten.",
  ],
  password: ["Your password", "Ihr Passwort"],
  wrong: ["This is not your password.", "Das ist nicht Ihr Passwort."],
  code: ["Code of your app, or a recovery code", "Code Ihrer App oder ein Wiederherstellungscode"],
  recovery: ["Recovery code", "Wiederherstellungscode"],
  passkey: ["Confirm with a passkey", "Mit Passkey bestätigen"],
  confirm: ["Confirm", "Bestätigen"],
  provider: [
    "You sign in at a provider: confirm it there. You come back to this page.",
    "Sie melden sich bei einem Anbieter an: Bestätigen Sie es dort. Sie kommen auf diese Seite zurück.",
  ],
  toProvider: ["Continue at the provider", "Weiter beim Anbieter"],
});

/** Asks who one is once more, by whatever the account has. */
export function ProofDialog() {
  const asked = useSyncExternalStore(proofStore.subscribe, proofStore.asked);
  const t = useText(text);
  return (
    <Dialog open={asked} onClose={() => answerProof(false)} title={t("title")} description={t("hint")}>
      {asked && <Ways />}
    </Dialog>
  );
}

function Ways() {
  const { data: session } = useQuery({ ...sessionQuery, enabled: false });
  if (session?.mfa.enrolled) return <ByFactor methods={session.mfa.methods} />;
  return session?.session?.method === "oidc" ? <ByProvider /> : <ByPassword />;
}

function ByProvider() {
  const t = useText(text);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const go = async () => {
    setBusy(true);
    try {
      const body = { return: location.pathname + location.search };
      const { url } = await must(api.POST("/api/v1/session/proof/oidc", { body }));
      location.assign(url);
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <div className="flex flex-col gap-4">
      {problem && <Trouble>{problem}</Trouble>}
      <p className="m-0 text-sm text-text-2">{t("provider")}</p>
      <Button look="primary" busy={busy} onClick={() => void go()} className="self-end">
        {t("toProvider")}
      </Button>
    </div>
  );
}

function ByFactor({ methods }: { methods: readonly string[] }) {
  const t = useText(text);
  const f = useText(factorText);
  const [code, setCode] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState<"code" | "passkey" | null>(null);
  const attempt = async (way: "code" | "passkey", run: () => Promise<unknown>) => {
    setBusy(way);
    setProblem(null);
    try {
      await run();
      answerProof(true);
    } catch (error) {
      setCode("");
      setProblem(factorTrouble(error, f));
      setBusy(null);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt("code", () => must(api.POST("/api/v1/session/proof", { body: { code: code.trim() } })));
  };
  const passkey = () =>
    void attempt("passkey", async () =>
      must(api.POST("/api/v1/session/proof", { body: { passkey: await ownPasskey() } })),
    );
  const passkeys = methods.includes("passkey") && passkeysPossible();
  // Whoever has no app is asked for the passkey first, and may type a recovery code.
  const app = methods.includes("totp");
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <Field label={t(app ? "code" : "recovery")} error={problem}>
        {(ids) => (
          <Input
            {...ids}
            autoComplete="one-time-code"
            autoFocus={app || !passkeys}
            className="mono"
            value={code}
            onChange={(event) => setCode(event.target.value)}
          />
        )}
      </Field>
      <div className="flex flex-wrap justify-end gap-2">
        {passkeys && (
          <Button
            icon={Fingerprint}
            look={app ? "plain" : "primary"}
            autoFocus={!app}
            busy={busy === "passkey"}
            onClick={passkey}
          >
            {t("passkey")}
          </Button>
        )}
        <Button
          type="submit"
          look={app || !passkeys ? "primary" : "plain"}
          busy={busy === "code"}
          disabled={!code.trim()}
        >
          {t("confirm")}
        </Button>
      </div>
    </form>
  );
}

function ByPassword() {
  const t = useText(text);
  const f = useText(factorText);
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
      const wrong = error instanceof Problem && error.kind === "bad-credentials";
      setProblem(wrong ? t("wrong") : factorTrouble(error, f));
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
