import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useSession } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Facts, PageHeader, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago, At } from "@/ui/time";
import { Factors } from "./factors";
import { Identities, OwnCertificates } from "./identities";
import { Programs } from "./programs";
import { SessionRows } from "./sessions";

const text = catalogue({
  title: ["Profile and security", "Profil und Sicherheit"],
  profile: ["Profile", "Profil"],
  displayName: ["Full name", "Voller Name"],
  email: ["E-mail", "E-Mail"],
  save: ["Save", "Speichern"],
  saved: ["Saved", "Gespeichert"],
  name: ["Sign-in name", "Anmeldename"],
  since: ["Since", "Seit"],
  lastSignIn: ["Last sign-in", "Letzte Anmeldung"],
  password: ["Password", "Passwort"],
  old: ["Present password", "Jetziges Passwort"],
  new: ["New password", "Neues Passwort"],
  again: ["New password again", "Neues Passwort wiederholen"],
  differ: ["The two differ.", "Die beiden unterscheiden sich."],
  changed: ["Last changed", "Zuletzt geändert"],
  change: ["Change password", "Passwort ändern"],
  changeHint: ["Your other sessions end.", "Ihre anderen Sitzungen enden."],
  passwordSet: ["Password changed; your other sessions ended", "Passwort geändert; andere Sitzungen beendet"],
  passwordElsewhere: [
    "Your password is kept by your organisation's directory: change it there.",
    "Ihr Passwort verwaltet das Verzeichnis Ihrer Organisation: Ändern Sie es dort.",
  ],
  sessions: ["Where you are signed in", "Wo Sie angemeldet sind"],
  endOthers: ["End all others", "Alle anderen beenden"],
  ended: ["Ended", "Beendet"],
});

const profileQuery = { queryKey: ["profile"], queryFn: () => must(api.GET("/api/v1/profile")) };
const sessionsQuery = { queryKey: ["sessions", "own"], queryFn: () => must(api.GET("/api/v1/session/sessions")) };

function Details({ profile }: { profile: Schema<"ProfileView"> }) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [display_name, setName] = useState(profile.display_name);
  const [email, setEmail] = useState(profile.email ?? "");
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const body = { version: profile.version, display_name, email: email.trim() || null };
    if (await act(() => must(api.PATCH("/api/v1/profile", { body })), t("saved")))
      void client.invalidateQueries({ queryKey: ["profile"] });
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      <Facts
        items={[
          [t("name"), profile.name],
          [t("since"), <At key="s" time={profile.created} />],
          [t("lastSignIn"), <Ago key="l" time={profile.last_sign_in} />],
        ]}
      />
      <Field label={t("displayName")}>
        {(ids) => (
          <Input {...ids} value={display_name} onChange={(event) => setName(event.target.value)} autoComplete="name" />
        )}
      </Field>
      <Field label={t("email")}>
        {(ids) => (
          <Input
            {...ids}
            type="email"
            value={email}
            onChange={(event) => setEmail(event.target.value)}
            autoComplete="email"
          />
        )}
      </Field>
      <Button type="submit" look="primary" busy={busy} className="self-start">
        {t("save")}
      </Button>
    </form>
  );
}

function Password({ changed }: { changed: string | null | undefined }) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [values, setValues] = useState({ old: "", new: "", again: "" });
  const differ = values.again !== "" && values.again !== values.new;
  const set = (key: keyof typeof values) => (event: { target: { value: string } }) =>
    setValues((before) => ({ ...before, [key]: event.target.value }));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (differ) return;
    const body = { old: values.old, new: values.new };
    const set = await act(() => must(api.PUT("/api/v1/session/password", { body })).then(() => true), t("passwordSet"));
    if (!set) return;
    setValues({ old: "", new: "", again: "" });
    void client.invalidateQueries({ queryKey: ["sessions"] });
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <Field label={t("old")}>
        {(ids) => (
          <Input
            {...ids}
            type="password"
            required
            value={values.old}
            onChange={set("old")}
            autoComplete="current-password"
          />
        )}
      </Field>
      <Field label={t("new")} hint={t("changeHint")}>
        {(ids) => (
          <Input
            {...ids}
            type="password"
            required
            value={values.new}
            onChange={set("new")}
            autoComplete="new-password"
          />
        )}
      </Field>
      <Field label={t("again")} error={differ ? t("differ") : null}>
        {(ids) => (
          <Input
            {...ids}
            type="password"
            required
            value={values.again}
            onChange={set("again")}
            autoComplete="new-password"
          />
        )}
      </Field>
      <div className="flex items-center gap-4">
        <Button type="submit" busy={busy} disabled={differ}>
          {t("change")}
        </Button>
        {changed && (
          <span className="text-xs text-text-3">
            {t("changed")} <Ago time={changed} />
          </span>
        )}
      </div>
    </form>
  );
}

/** What belongs to oneself: name, password, second factors, and where one is signed in. */
export default function ProfilePage() {
  const t = useText(text);
  const profile = useQuery(profileQuery);
  const sessions = useQuery(sessionsQuery);
  const directory = useSession().session?.method === "ldap";
  const { act } = useAction();
  const end = (id: string) =>
    act(
      () => must(api.DELETE("/api/v1/session/sessions/{id}", { params: { path: { id } } })).then(() => true),
      t("ended"),
    ).then(() => sessions.refetch());
  return (
    <div className="mx-auto max-w-[1000px] pb-8">
      <PageHeader title={t("title")} />
      <div className="grid gap-4 px-4 md:grid-cols-2 md:px-6">
        <Panel title={t("profile")}>
          <Loaded query={profile}>{(data) => <Details key={data.version} profile={data} />}</Loaded>
        </Panel>
        {directory ? (
          <Panel title={t("password")}>
            <p className="m-0 text-sm text-text-2">{t("passwordElsewhere")}</p>
          </Panel>
        ) : (
          <Panel title={t("password")}>
            <Password changed={profile.data?.password_changed} />
          </Panel>
        )}
        <div className="min-w-0 md:col-span-2">
          <Factors />
        </div>
        <Identities />
        <OwnCertificates />
        <Panel
          title={t("sessions")}
          className="md:col-span-2"
          aside={
            (sessions.data?.items.length ?? 0) > 1 && (
              <Button
                look="quiet"
                onClick={() =>
                  void act(() => must(api.DELETE("/api/v1/session/sessions")), t("ended")).then(() =>
                    sessions.refetch(),
                  )
                }
              >
                {t("endOthers")}
              </Button>
            )
          }
        >
          <Loaded query={sessions} rows={3}>
            {(data) => <SessionRows rows={data.items} onEnd={(row) => void end(row.id)} />}
          </Loaded>
        </Panel>
        <div className="min-w-0 md:col-span-2">
          <Programs />
        </div>
      </div>
    </div>
  );
}
