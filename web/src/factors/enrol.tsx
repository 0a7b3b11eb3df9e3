import { useQuery } from "@tanstack/react-query";
import { Fingerprint, Smartphone } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { proven } from "@/app/action";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Qr } from "@/ui/qr/qr";
import { Loaded } from "@/ui/state";
import { Trouble } from "@/ui/trouble";
import { CodeInput } from "./code-input";
import { makePasskey, passkeysPossible } from "./passkeys";
import { text } from "./strings";
import { factorTrouble } from "./trouble";

type Kind = "totp" | "passkey";

/** What the sign-in page of this server offers. */
export const offerQuery = {
  queryKey: ["sign-in"],
  queryFn: () => must(api.GET("/api/v1/sign-in")),
  staleTime: 60_000,
};

/** Adding a second factor: which kind, its name, and the proof that it works. Hands on the recovery codes, if there are. */
export function Enrol({ onDone }: { onDone: (recoveryCodes: readonly string[]) => void }) {
  const offer = useQuery(offerQuery);
  const [kind, setKind] = useState<Kind | null>(null);
  return (
    <Loaded query={offer} rows={3}>
      {({ methods }) => {
        const passkeys = methods.includes("passkey") && passkeysPossible();
        const shown = kind ?? (passkeys ? null : "totp");
        if (shown === "totp") return <AddApp onDone={onDone} />;
        if (shown === "passkey") return <AddPasskey onDone={onDone} />;
        return <Choice onChoose={setKind} />;
      }}
    </Loaded>
  );
}

function Choice({ onChoose }: { onChoose: (kind: Kind) => void }) {
  const t = useText(text);
  const kinds = [
    { kind: "passkey", icon: Fingerprint, label: t("passkey"), hint: t("passkeyHint") },
    { kind: "totp", icon: Smartphone, label: t("app"), hint: t("appHint") },
  ] as const;
  return (
    <div className="flex flex-col gap-3">
      {kinds.map(({ kind, icon: Icon, label, hint }) => (
        <button
          key={kind}
          type="button"
          onClick={() => onChoose(kind)}
          className="flex items-start gap-3 rounded-m border border-line-strong/70 bg-raised p-4 text-left hover:border-line-strong hover:bg-hover"
        >
          <Icon aria-hidden size={20} className="mt-0.5 shrink-0 text-accent" />
          <span>
            <span className="block text-base font-semibold">{label}</span>
            <span className="block text-sm text-text-2">{hint}</span>
          </span>
        </button>
      ))}
    </div>
  );
}

function AddPasskey({ onDone }: { onDone: (recoveryCodes: readonly string[]) => void }) {
  const t = useText(text);
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const made = await proven(() => makePasskey(name.trim()));
      if (!made) return setBusy(false);
      const done = await proven(() => must(api.POST("/api/v1/session/passkeys/confirm", { body: made })));
      if (!done) return setBusy(false);
      onDone(done.recovery_codes);
    } catch (error) {
      setProblem(factorTrouble(error, t));
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      {problem && <Trouble>{problem}</Trouble>}
      <p className="m-0 text-sm text-text-2">{t("passkeyHint")}</p>
      <Naming value={name} onChange={setName} />
      <Button type="submit" look="primary" icon={Fingerprint} busy={busy} className="self-end">
        {t("begin")}
      </Button>
    </form>
  );
}

function Naming({ value, onChange }: { value: string; onChange: (name: string) => void }) {
  const t = useText(text);
  return (
    <Field label={t("name")} hint={t("nameHint")}>
      {(ids) => (
        <Input
          {...ids}
          value={value}
          maxLength={60}
          autoFocus
          autoComplete="off"
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

function AddApp({ onDone }: { onDone: (recoveryCodes: readonly string[]) => void }) {
  const t = useText(text);
  const [name, setName] = useState("");
  const [begun, setBegun] = useState<Schema<"BegunTotpView"> | null>(null);
  const [code, setCode] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const attempt = async (run: () => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    try {
      await run();
    } catch (error) {
      setCode("");
      setProblem(factorTrouble(error, t));
    } finally {
      setBusy(false);
    }
  };
  const begin = (event: FormEvent) => {
    event.preventDefault();
    void attempt(async () => {
      setBegun(await proven(() => must(api.POST("/api/v1/session/totp", { body: { name: name.trim() } }))));
    });
  };
  const confirm = (event: FormEvent) => {
    event.preventDefault();
    if (!begun) return;
    void attempt(async () => {
      const params = { path: { id: begun.id } };
      const done = await proven(() => must(api.POST("/api/v1/session/totp/{id}/confirm", { params, body: { code } })));
      if (done) onDone(done.recovery_codes);
    });
  };
  if (!begun) {
    return (
      <form onSubmit={begin} className="flex flex-col gap-4">
        {problem && <Trouble>{problem}</Trouble>}
        <p className="m-0 text-sm text-text-2">{t("appHint")}</p>
        <Naming value={name} onChange={setName} />
        <Button type="submit" look="primary" icon={Smartphone} busy={busy} className="self-end">
          {t("begin")}
        </Button>
      </form>
    );
  }
  return (
    <form onSubmit={confirm} className="flex flex-col gap-4">
      {problem && <Trouble>{problem}</Trouble>}
      <p className="m-0 text-sm text-text-2">{t("scan")}</p>
      <div className="flex flex-wrap items-start gap-4">
        <Qr text={begun.uri} label={t("qr")} />
        <div className="min-w-0 flex-1 basis-40">
          <span className="block text-xs text-text-3">{t("secret")}</span>
          <output aria-label={t("secret")} className="mono block select-all break-words text-sm">
            {begun.secret.replace(/(.{4})(?=.)/g, "$1 ")}
          </output>
        </div>
      </div>
      <Field label={t("code")} hint={t("codeOfApp")}>
        {(ids) => <CodeInput {...ids} value={code} onChange={setCode} className="!w-40" />}
      </Field>
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {t("confirm")}
      </Button>
    </form>
  );
}
