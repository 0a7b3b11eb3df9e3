import { Link } from "@tanstack/react-router";
import { BadgeCheck, Fingerprint, LogIn } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { useReturned } from "@/app/returned";
import type { Session } from "@/app/session";
import { anyPasskey, passkeysPossible } from "@/factors/passkeys";
import { text as factorText } from "@/factors/strings";
import { factorTrouble } from "@/factors/trouble";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Trouble } from "@/ui/trouble";
import { Frame } from "./frame";
import { text } from "./strings";

/** Name and password, and what may take their place. */
export function PasswordStep({
  offer,
  target,
  onDone,
}: {
  offer: Schema<"SignInOffer"> | undefined;
  target: string;
  onDone: (session: Session) => void;
}) {
  const t = useText(text);
  const f = useText(factorText);
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState<"password" | "passkey" | "certificate" | null>(null);
  const returned = useReturned();
  const [problem, setProblem] = useState<string | null>(returned);
  const attempt = async (
    way: NonNullable<typeof busy>,
    run: () => Promise<Session>,
    trouble: (error: unknown) => string,
  ) => {
    setBusy(way);
    setProblem(null);
    try {
      onDone(await run());
    } catch (error) {
      setProblem(trouble(error));
      setBusy(null);
    }
  };
  const said = (error: unknown): string => {
    if (error instanceof Problem && error.retryAfter !== undefined && error.status === 429)
      return t("locked", { seconds: error.retryAfter });
    if (error instanceof Problem && error.status === 401) return t("wrong");
    if (error instanceof Problem && error.kind === "other-system") return t("directorySilent");
    if (error instanceof Problem && error.kind === "busy") return t("busy");
    return (error as Error).message;
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt("password", () => must(api.POST("/api/v1/session", { body: { name, password } })), said);
  };
  const passkey = () =>
    void attempt(
      "passkey",
      async () => must(api.POST("/api/v1/session/passkey", { body: await anyPasskey() })),
      (error) =>
        error instanceof Problem && error.kind === "bad-credentials" ? t("unknownPasskey") : factorTrouble(error, f),
    );
  const certificate = () =>
    void attempt(
      "certificate",
      () => must(api.POST("/api/v1/session/certificate")),
      (error) =>
        error instanceof Problem && error.kind === "bad-credentials"
          ? t("unknownCertificate")
          : factorTrouble(error, f),
    );
  const methods = offer?.methods ?? ["password"];
  const providers = offer?.providers ?? [];
  const passkeys = methods.includes("passkey") && passkeysPossible();
  const certificates = methods.includes("certificate");
  const other = "!h-10 w-full";
  return (
    <Frame title={t("title")} lead={t("lead")}>
      {problem && (
        <div className="mb-4">
          <Trouble>{problem}</Trouble>
        </div>
      )}
      {methods.includes("password") && (
        <form onSubmit={submit} className="flex flex-col gap-4">
          <Field label={t("name")}>
            {(ids) => (
              <Input
                {...ids}
                value={name}
                onChange={(event) => setName(event.target.value)}
                autoComplete="username"
                autoFocus
                required
                className="!h-10"
              />
            )}
          </Field>
          <Field label={t("password")}>
            {(ids) => (
              <Input
                {...ids}
                type="password"
                value={password}
                onChange={(event) => setPassword(event.target.value)}
                autoComplete="current-password"
                required
                className="!h-10"
              />
            )}
          </Field>
          <Button type="submit" look="primary" busy={busy === "password"} className="mt-2 !h-10">
            {t("signIn")}
          </Button>
        </form>
      )}
      {(passkeys || certificates || providers.length > 0) && (
        <>
          <div className="my-5 flex items-center gap-3 text-xs text-text-3">
            <span className="h-px flex-1 bg-line" />
            {t("or")}
            <span className="h-px flex-1 bg-line" />
          </div>
          <div className="flex flex-col gap-2.5">
            {passkeys && (
              <Button icon={Fingerprint} busy={busy === "passkey"} onClick={passkey} className={other}>
                {t("withPasskey")}
              </Button>
            )}
            {certificates && (
              <Button icon={BadgeCheck} busy={busy === "certificate"} onClick={certificate} className={other}>
                {t("withCertificate")}
              </Button>
            )}
            {providers.map((provider) => (
              <Button
                key={provider.name}
                icon={LogIn}
                className={other}
                onClick={() => location.assign(`${provider.start}?return=${encodeURIComponent(target)}`)}
              >
                {t("withProvider", { provider: provider.label })}
              </Button>
            ))}
          </div>
        </>
      )}
      {offer?.self_registration && (
        <p className="mb-0 mt-6 text-center text-sm text-text-2">
          {t("noAccount")}{" "}
          <Link to="/register" className="font-medium text-accent hover:text-accent-strong">
            {t("register")}
          </Link>
        </p>
      )}
    </Frame>
  );
}
