import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { offerQuery } from "@/factors/enrol";
import { catalogue } from "@/i18n/text";
import { rolesQuery } from "@/pages/users/data";
import { RoleSelect } from "@/pages/users/invite";
import { Badge } from "@/ui/badge";
import { Button, LinkButton } from "@/ui/button";
import { Checkbox, Switch } from "@/ui/form";
import { PageHeader, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";

type Policy = Schema<"PolicyView">;

const text = catalogue({
  title: ["Settings", "Einstellungen"],
  lead: ["Rules that hold for everybody in this tenant", "Regeln, die für alle in diesem Mandanten gelten"],
  security: ["Sign-in", "Anmeldung"],
  mfaAll: ["Everybody needs a second factor", "Alle brauchen einen zweiten Faktor"],
  mfaAllHint: [
    "Those without one are led to set it up at their next sign-in.",
    "Wer keinen hat, richtet ihn bei der nächsten Anmeldung ein.",
  ],
  mfaRoles: ["These roles need a second factor", "Diese Rollen brauchen einen zweiten Faktor"],
  registration: ["People may ask for an account", "Konten dürfen beantragt werden"],
  registrationHint: [
    "Requests wait until an administrator approves them.",
    "Anträge warten, bis ein Administrator sie freigibt.",
  ],
  registrationRole: ["Role that is proposed", "Vorgeschlagene Rolle"],
  certificateRoles: ["These roles must present a client certificate", "Diese Rollen brauchen ein Client-Zertifikat"],
  certificateRolesHint: [
    "With every request. Register your own before you tick your own role.",
    "Bei jeder Anfrage. Tragen Sie erst Ihr eigenes ein, bevor Sie Ihre Rolle ankreuzen.",
  ],
  ways: ["Ways to sign in", "Wege zur Anmeldung"],
  how: ["How to set these up", "So richten Sie das ein"],
  offered: ["Offered here", "Hier angeboten"],
  notOffered: ["Not offered", "Nicht angeboten"],
  wayPassword: ["Name and password", "Name und Passwort"],
  wayPasswordHint: [
    "Accounts of this installation, and of a directory (LDAP) where one is configured.",
    "Konten dieser Installation und, falls konfiguriert, eines Verzeichnisses (LDAP).",
  ],
  wayPasskey: ["Passkey", "Passkey"],
  wayPasskeyHint: [
    "Needs a name in the address bar, not a bare address: server.public_url or the certificate's name.",
    "Braucht einen Namen in der Adresszeile, keine bloße Adresse: server.public_url oder den Namen des Zertifikats.",
  ],
  wayProvider: ["Identity provider (OpenID Connect)", "Identitätsanbieter (OpenID Connect)"],
  wayProviderHint: ["From the configuration file: identity.oidc.", "Aus der Konfigurationsdatei: identity.oidc."],
  wayCertificate: ["Client certificate", "Client-Zertifikat"],
  wayCertificateHint: [
    "Offered to browsers that present one: server.tls.client_ca.",
    "Wird Browsern angeboten, die eines vorlegen: server.tls.client_ca.",
  ],
  notifications: ["Notifications", "Benachrichtigungen"],
  notificationsHint: [
    "Mailboxes and webhooks that are told what happens, what was delivered, and a test of it all.",
    "Postfächer und Webhooks, die erfahren, was geschieht, was zugestellt wurde, und ein Test von allem.",
  ],
  toChannels: ["Channels and delivery log", "Kanäle und Zustellprotokoll"],
  save: ["Save", "Speichern"],
  saved: ["Settings saved", "Einstellungen gespeichert"],
});

const policyQuery = { queryKey: ["settings", "security"], queryFn: () => must(api.GET("/api/v1/settings/security")) };

/** Roles to tick. */
function RoleBoxes({
  label,
  chosen,
  disabled,
  onChange,
}: {
  label: string;
  chosen: readonly string[];
  disabled: boolean;
  onChange: (roles: string[]) => void;
}) {
  const roles = useQuery(rolesQuery);
  const names = roles.data?.items.map((role) => role.name) ?? [...chosen];
  return (
    <fieldset aria-label={label} className="m-0 flex flex-col gap-2 border-0 p-0">
      {names.map((name) => (
        <span key={name} className="flex items-center gap-2.5 text-sm">
          <Checkbox
            label={name}
            disabled={disabled}
            checked={chosen.includes(name)}
            onChange={(on) => onChange(on ? [...chosen, name] : chosen.filter((other) => other !== name))}
          />
          {name}
        </span>
      ))}
    </fieldset>
  );
}

/** How people may sign in here, which the configuration file decides. */
function Ways() {
  const t = useText(text);
  const offer = useQuery(offerQuery);
  const policy = useQuery(policyQuery);
  return (
    <Loaded query={offer} rows={3}>
      {(data) => {
        const { providers } = data;
        const has = (method: string) => data.methods.includes(method);
        // The offer is about this connection, which need not show a certificate.
        const certificates = has("certificate") || Boolean(policy.data?.certificate_roles);
        const ways: [name: string, on: boolean, hint: string][] = [
          [t("wayPassword"), has("password"), t("wayPasswordHint")],
          [t("wayPasskey"), has("passkey"), t("wayPasskeyHint")],
          ...providers.map((provider): [string, boolean, string] => [provider.label, true, t("wayProviderHint")]),
          ...(providers.length === 0
            ? [[t("wayProvider"), false, t("wayProviderHint")] as [string, boolean, string]]
            : []),
          [t("wayCertificate"), certificates, t("wayCertificateHint")],
        ];
        return (
          <ul className="m-0 flex list-none flex-col p-0">
            {ways.map(([name, on, hint]) => (
              <li
                key={name}
                className="flex items-start justify-between gap-6 border-t border-line py-3 text-sm first:border-0"
              >
                <span>
                  <span className="block font-medium">{name}</span>
                  <span className="block text-xs text-text-3">{hint}</span>
                </span>
                <Badge tone={on ? "good" : "neutral"}>{t(on ? "offered" : "notOffered")}</Badge>
              </li>
            ))}
          </ul>
        );
      }}
    </Loaded>
  );
}

function Form({ policy }: { policy: Policy }) {
  const t = useText(text);
  const client = useQueryClient();
  const write = useCan("settings:write");
  const { busy, act } = useAction();
  const [values, setValues] = useState(policy);
  const set = (part: Partial<Policy>) => setValues((before) => ({ ...before, ...part }));
  const required = values.mfa_roles ?? [];
  const save = async () => {
    const saved = await act(() => must(api.PUT("/api/v1/settings/security", { body: values })), t("saved"));
    if (saved) void client.invalidateQueries({ queryKey: ["settings"] });
  };
  const row = "flex items-start justify-between gap-6 border-t border-line py-4 first:border-0 first:pt-1";
  return (
    <fieldset disabled={!write} className="m-0 border-0 p-0">
      <div className={row}>
        <span>
          <span className="block text-sm font-medium">{t("mfaAll")}</span>
          <span className="block text-xs text-text-3">{t("mfaAllHint")}</span>
        </span>
        <Switch
          label={t("mfaAll")}
          checked={values.mfa_required ?? false}
          disabled={!write}
          onChange={(mfa_required) => set({ mfa_required })}
        />
      </div>
      <div className={row}>
        <span className="text-sm font-medium">{t("mfaRoles")}</span>
        <RoleBoxes
          label={t("mfaRoles")}
          chosen={required}
          disabled={!write}
          onChange={(mfa_roles) => set({ mfa_roles })}
        />
      </div>
      {values.certificate_roles && (
        <div className={row}>
          <span>
            <span className="block text-sm font-medium">{t("certificateRoles")}</span>
            <span className="block text-xs text-text-3">{t("certificateRolesHint")}</span>
          </span>
          <RoleBoxes
            label={t("certificateRoles")}
            chosen={values.certificate_roles}
            disabled={!write}
            onChange={(certificate_roles) => set({ certificate_roles })}
          />
        </div>
      )}
      <div className={row}>
        <span>
          <span className="block text-sm font-medium">{t("registration")}</span>
          <span className="block text-xs text-text-3">{t("registrationHint")}</span>
        </span>
        <Switch
          label={t("registration")}
          checked={values.self_registration}
          disabled={!write}
          onChange={(self_registration) => set({ self_registration })}
        />
      </div>
      {values.self_registration && (
        <div className={row}>
          <span className="text-sm font-medium">{t("registrationRole")}</span>
          <span className="w-44">
            <RoleSelect value={values.registration_role} onChange={(registration_role) => set({ registration_role })} />
          </span>
        </div>
      )}
      {write && (
        <div className="flex justify-end border-t border-line pt-4">
          <Button look="primary" busy={busy} onClick={() => void save()}>
            {t("save")}
          </Button>
        </div>
      )}
    </fieldset>
  );
}

export default function SettingsPage() {
  const t = useText(text);
  const query = useQuery(policyQuery);
  const manageNotifications = useCan("notifications:manage");
  return (
    <div className="mx-auto max-w-[820px] pb-8">
      <PageHeader title={t("title")} detail={t("lead")} />
      <div className="flex flex-col gap-4 px-4 md:px-6">
        <Panel title={t("security")}>
          <Loaded query={query}>{(policy) => <Form key={policy.version} policy={policy} />}</Loaded>
        </Panel>
        <Panel
          title={t("ways")}
          aside={
            <LinkButton to="/help/$" params={{ _splat: "access" }}>
              {t("how")}
            </LinkButton>
          }
        >
          <Ways />
        </Panel>
        {manageNotifications && (
          <Panel title={t("notifications")}>
            <p className="mb-3 mt-0 text-sm text-text-2">{t("notificationsHint")}</p>
            <LinkButton to="/notifications" search={{ tab: "channels" }}>
              {t("toChannels")}
            </LinkButton>
          </Panel>
        )}
      </div>
    </div>
  );
}
