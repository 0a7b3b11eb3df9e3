import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { rolesQuery } from "@/pages/users/data";
import { RoleSelect } from "@/pages/users/invite";
import { Button } from "@/ui/button";
import { Checkbox, Switch } from "@/ui/form";
import { PageHeader, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";

type Policy = Schema<"PolicyView"> & { certificate_roles?: string[] };

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
  save: ["Save", "Speichern"],
  saved: ["Settings saved", "Einstellungen gespeichert"],
});

const policyQuery = { queryKey: ["settings", "security"], queryFn: () => must(api.GET("/api/v1/settings/security")) };

function Form({ policy }: { policy: Policy }) {
  const t = useText(text);
  const client = useQueryClient();
  const write = useCan("settings:write");
  const roles = useQuery(rolesQuery);
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
        <span className="flex flex-col gap-2">
          {(roles.data?.items ?? []).map((role) => (
            <span key={role.name} className="flex items-center gap-2.5 text-sm">
              <Checkbox
                label={role.name}
                checked={required.includes(role.name)}
                onChange={(on) =>
                  set({ mfa_roles: on ? [...required, role.name] : required.filter((name) => name !== role.name) })
                }
              />
              {role.name}
            </span>
          ))}
        </span>
      </div>
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
  return (
    <div className="mx-auto max-w-[820px] pb-8">
      <PageHeader title={t("title")} detail={t("lead")} />
      <div className="px-4 md:px-6">
        <Panel title={t("security")}>
          <Loaded query={query}>{(policy) => <Form key={policy.version} policy={policy} />}</Loaded>
        </Panel>
      </div>
    </div>
  );
}
