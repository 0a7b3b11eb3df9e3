import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { catalogue } from "@/i18n/text";
import { Frame } from "@/pages/sign-in/frame";
import { Button, LinkButton } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Loading } from "@/ui/state";
import { Trouble } from "@/ui/trouble";

const text = catalogue({
  inviteTitle: ["Welcome to {tenant}", "Willkommen bei {tenant}"],
  inviteLead: [
    "Choose a name and a password to begin as {role}.",
    "Wählen Sie Namen und Passwort, um als {role} zu beginnen.",
  ],
  resetTitle: ["Choose a new password", "Neues Passwort wählen"],
  resetLead: ["For the account {name}.", "Für das Konto {name}."],
  looking: ["One moment", "Einen Moment"],
  name: ["Sign-in name", "Anmeldename"],
  displayName: ["Full name", "Voller Name"],
  password: ["Password", "Passwort"],
  again: ["Password again", "Passwort wiederholen"],
  differ: ["The two passwords differ.", "Die beiden Passwörter unterscheiden sich."],
  go: ["Continue", "Weiter"],
  toSignIn: ["To the sign-in", "Zur Anmeldung"],
  badTitle: ["This link does not work", "Dieser Link gilt nicht"],
  badHint: [
    "It was used, it expired, or it was withdrawn. Ask for another.",
    "Er wurde benutzt, ist abgelaufen oder zurückgezogen. Bitten Sie um einen neuen.",
  ],
});

/** Where invitations and reset links lead. The token is in the fragment, which browsers send nowhere. */
export default function LinkPage() {
  const t = useText(text);
  const navigate = useNavigate();
  const client = useQueryClient();
  const [token] = useState(() => location.hash.slice(1));
  const look = useQuery({
    queryKey: ["link", token],
    queryFn: () => must(api.POST("/api/v1/links/look", { body: { token } })),
    retry: false,
  });
  const [values, setValues] = useState({ name: "", display_name: "", password: "", again: "" });
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const set = (key: keyof typeof values) => (event: { target: { value: string } }) =>
    setValues((before) => ({ ...before, [key]: event.target.value }));
  const differ = values.again !== "" && values.again !== values.password;
  if (look.isPending) {
    return (
      <Frame title={t("looking")} lead="">
        <Loading rows={3} />
      </Frame>
    );
  }
  if (!look.data) {
    return (
      <Frame title={t("badTitle")} lead={t("badHint")}>
        <LinkButton to="/sign-in" look="primary">
          {t("toSignIn")}
        </LinkButton>
      </Frame>
    );
  }
  const link = look.data;
  const invitation = link.kind === "invitation";
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (values.again !== values.password) return;
    setBusy(true);
    setProblem(null);
    try {
      const body = {
        token,
        password: values.password,
        name: invitation ? values.name || (link.name ?? "") : "",
        display_name: values.display_name,
      };
      const session = await must(api.POST("/api/v1/links/redeem", { body }));
      client.clear();
      client.setQueryData(["session"], session);
      await navigate({ to: "/" });
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Frame
      title={invitation ? t("inviteTitle", { tenant: link.tenant_name }) : t("resetTitle")}
      lead={invitation ? t("inviteLead", { role: link.role ?? "" }) : t("resetLead", { name: link.name ?? "" })}
    >
      <form onSubmit={submit} className="flex flex-col gap-4">
        {problem && <Trouble>{problem}</Trouble>}
        {invitation && (
          <div className="grid gap-4 sm:grid-cols-2">
            <Field label={t("name")}>
              {(ids) => (
                <Input
                  {...ids}
                  required
                  defaultValue={link.name ?? ""}
                  onChange={set("name")}
                  autoComplete="username"
                  autoFocus
                />
              )}
            </Field>
            <Field label={t("displayName")}>
              {(ids) => <Input {...ids} onChange={set("display_name")} autoComplete="name" />}
            </Field>
          </div>
        )}
        <Field label={t("password")}>
          {(ids) => <Input {...ids} type="password" required onChange={set("password")} autoComplete="new-password" />}
        </Field>
        <Field label={t("again")} error={differ ? t("differ") : null}>
          {(ids) => <Input {...ids} type="password" required onChange={set("again")} autoComplete="new-password" />}
        </Field>
        <Button type="submit" look="primary" busy={busy} disabled={differ} className="mt-2 !h-10">
          {t("go")}
        </Button>
      </form>
    </Frame>
  );
}
