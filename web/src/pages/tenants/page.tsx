import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Building2, PencilLine, Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Confirm, Dialog } from "@/ui/overlay";
import { PageHeader } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";

type Tenant = Schema<"TenantView">;

const text = catalogue({
  title: ["Tenants", "Mandanten"],
  lead: ["Customers or sites that never see each other's data", "Kunden oder Standorte, die einander nie sehen"],
  newTenant: ["New tenant", "Neuer Mandant"],
  name: ["Name", "Name"],
  slug: ["Short name", "Kurzname"],
  slugHint: [
    "In addresses and on the command line: a–z, 0–9 and -",
    "In Adressen und auf der Kommandozeile: a–z, 0–9 und -",
  ],
  people: ["{n} {n|person|people}", "{n} {n|Person|Personen}"],
  role: ["Your role: {role}", "Ihre Rolle: {role}"],
  since: ["Since", "Seit"],
  disabled: ["Disabled", "Gesperrt"],
  save: ["Save", "Speichern"],
  saved: ["Tenant saved", "Mandant gespeichert"],
  disable: ["Disable", "Sperren"],
  enable: ["Enable", "Entsperren"],
  delete: ["Delete", "Löschen"],
  deleteTitle: ["Delete {name}?", "{name} löschen?"],
  deleteHint: [
    "The tenant goes with its accounts, alerts, incidents and settings. This cannot be taken back.",
    "Der Mandant verschwindet mit Konten, Alarmen, Vorfällen und Einstellungen. Das lässt sich nicht zurücknehmen.",
  ],
  deleted: ["Tenant deleted", "Mandant gelöscht"],
  edit: ["Edit {name}", "{name} bearbeiten"],
  none: ["You hold no tenant", "Sie haben keinen Mandanten"],
});

const tenantsQuery = { queryKey: ["tenants"], queryFn: () => must(api.GET("/api/v1/tenants")) };

function Form({ tenant, onClose }: { tenant: Tenant | null; onClose: () => void }) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [name, setName] = useState(tenant?.name ?? "");
  const [slug, setSlug] = useState(tenant?.slug ?? "");
  const [deleting, setDeleting] = useState(false);
  const remove = async (id: string) => {
    const gone = await act(
      () => must(api.DELETE("/api/v1/tenants/{id}", { params: { path: { id } } })).then(() => true),
      t("deleted"),
    );
    if (!gone) return;
    void client.invalidateQueries({ queryKey: ["tenants"] });
    onClose();
  };
  const change = async (part: { name?: string; slug?: string; disabled?: boolean }) => {
    const saved = await act(
      () =>
        must(
          tenant
            ? api.PATCH("/api/v1/tenants/{id}", {
                params: { path: { id: tenant.id } },
                body: { version: tenant.version, ...part },
              })
            : api.POST("/api/v1/tenants", { body: { name, slug } }),
        ),
      t("saved"),
    );
    if (!saved) return;
    void client.invalidateQueries({ queryKey: ["tenants"] });
    void client.invalidateQueries({ queryKey: ["session"] });
    onClose();
  };
  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        void change({ name, slug });
      }}
      className="flex flex-col gap-4"
    >
      <Field label={t("name")}>
        {(ids) => (
          <Input
            {...ids}
            required
            value={name}
            onChange={(event) => {
              setName(event.target.value);
              if (!tenant)
                setSlug(
                  event.target.value
                    .toLowerCase()
                    .replace(/[^a-z0-9]+/g, "-")
                    .replace(/^-|-$/g, ""),
                );
            }}
          />
        )}
      </Field>
      <Field label={t("slug")} hint={t("slugHint")}>
        {(ids) => (
          <Input {...ids} required value={slug} onChange={(event) => setSlug(event.target.value)} className="mono" />
        )}
      </Field>
      <div className="flex justify-end gap-2">
        {tenant && (
          <Button onClick={() => void change({ disabled: !tenant.disabled })}>
            {t(tenant.disabled ? "enable" : "disable")}
          </Button>
        )}
        {tenant?.disabled && (
          <Button look="danger" onClick={() => setDeleting(true)}>
            {t("delete")}
          </Button>
        )}
        <Button type="submit" look="primary" busy={busy}>
          {t("save")}
        </Button>
      </div>
      {tenant && (
        <Confirm
          open={deleting}
          onClose={() => setDeleting(false)}
          title={t("deleteTitle", { name: tenant.name })}
          description={t("deleteHint")}
          action={t("delete")}
          danger
          onConfirm={() => remove(tenant.id)}
        />
      )}
    </form>
  );
}

export default function TenantsPage() {
  const t = useText(text);
  const manage = useCan("tenants:manage");
  const query = useQuery(tenantsQuery);
  const [editing, setEditing] = useState<Tenant | "new" | null>(null);
  const own = editing !== null && editing !== "new" ? editing : null;
  return (
    <div className="pb-8">
      <PageHeader title={t("title")} detail={t("lead")}>
        {manage && (
          <Button look="primary" icon={Plus} onClick={() => setEditing("new")}>
            {t("newTenant")}
          </Button>
        )}
      </PageHeader>
      <Loaded query={query}>
        {(data) =>
          data.items.length === 0 ? (
            <Empty icon={Building2} title={t("none")} />
          ) : (
            <ul className="m-0 grid list-none gap-4 px-4 py-0 sm:grid-cols-2 md:px-6 xl:grid-cols-3">
              {data.items.map((tenant) => (
                <li key={tenant.id} className="panel flex flex-col gap-3 p-4">
                  <div className="flex items-start gap-3">
                    <span className="flex size-9 shrink-0 items-center justify-center rounded-m bg-accent-soft text-accent">
                      <Building2 aria-hidden size={18} />
                    </span>
                    <span className="min-w-0 flex-1">
                      <span className="block truncate text-base font-semibold">{tenant.name}</span>
                      <span className="mono block truncate text-text-3">{tenant.slug}</span>
                    </span>
                    {tenant.disabled && <Badge tone="medium">{t("disabled")}</Badge>}
                    {manage && (
                      <IconButton
                        label={t("edit", { name: tenant.name })}
                        icon={PencilLine}
                        className="-mr-2 -mt-1"
                        onClick={() => setEditing(tenant)}
                      />
                    )}
                  </div>
                  <div className="flex flex-wrap items-center gap-x-4 gap-y-1 text-xs text-text-3">
                    <span className="num">{t("people", { n: tenant.users })}</span>
                    {tenant.role && <span>{t("role", { role: tenant.role })}</span>}
                    <span>
                      {t("since")} <Ago time={tenant.created} />
                    </span>
                  </div>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Dialog open={editing !== null} onClose={() => setEditing(null)} title={own?.name ?? t("newTenant")}>
        {editing !== null && <Form key={own?.id ?? "new"} tenant={own} onClose={() => setEditing(null)} />}
      </Dialog>
    </div>
  );
}
