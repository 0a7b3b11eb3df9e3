import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Lock, Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan, useSession } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { rolesQuery } from "@/pages/users/data";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Checkbox, Field, Input, Switch } from "@/ui/form";
import { Confirm, Dialog } from "@/ui/overlay";
import { PageHeader } from "@/ui/panel";
import { Loaded } from "@/ui/state";

type Role = Schema<"RoleView">;
type Permission = Schema<"PermissionView">;

const text = catalogue({
  title: ["Roles", "Rollen"],
  lead: [
    "Who may do what. A role is a named set of permissions.",
    "Wer was darf. Eine Rolle ist ein benannter Satz von Berechtigungen.",
  ],
  newRole: ["New role", "Neue Rolle"],
  builtIn: ["Built in", "Eingebaut"],
  people: ["{n} {n|person|people}", "{n} {n|Person|Personen}"],
  permissions: ["{n} {n|permission|permissions}", "{n} {n|Berechtigung|Berechtigungen}"],
  permission: ["Permission", "Berechtigung"],
  name: ["Name", "Name"],
  nameHint: ["2 to 40 of a–z, 0–9, - and _", "2 bis 40 Zeichen aus a–z, 0–9, - und _"],
  description: ["Description", "Beschreibung"],
  mfa: ["Requires a second factor", "Verlangt einen zweiten Faktor"],
  certificate: ["Requires a client certificate", "Verlangt ein Client-Zertifikat"],
  save: ["Save", "Speichern"],
  saved: ["Role saved", "Rolle gespeichert"],
  edit: ["Edit", "Bearbeiten"],
  delete: ["Delete", "Löschen"],
  deleteTitle: ["Delete the role {name}?", "Rolle {name} löschen?"],
  deleteHint: ["Nobody may have it any more.", "Niemand darf sie mehr haben."],
  deleted: ["Role deleted", "Rolle gelöscht"],
  allowed: ["allowed", "erlaubt"],
  notAllowed: ["not allowed", "nicht erlaubt"],
});

const permissionsQuery = { queryKey: ["permissions"], queryFn: () => must(api.GET("/api/v1/permissions")) };

/** The part before the colon: what a permission is about. */
function areas(permissions: readonly Permission[]): [area: string, permissions: Permission[]][] {
  const found = new Map<string, Permission[]>();
  for (const permission of permissions) {
    const area = permission.name.split(":")[0] ?? "";
    found.set(area, [...(found.get(area) ?? []), permission]);
  }
  return [...found];
}

function Editor({ role, table, onClose }: { role: Role | null; table: readonly Permission[]; onClose: () => void }) {
  const t = useText(text);
  const client = useQueryClient();
  const session = useSession();
  const { busy, act } = useAction();
  const [name, setName] = useState(role?.name ?? "");
  const [description, setDescription] = useState(role?.description ?? "");
  const [mfa_required, setMfa] = useState(role?.mfa_required ?? false);
  const [certificate_required, setCertificate] = useState(role?.certificate_required ?? false);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(role?.permissions ?? []));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = { name, description, mfa_required, certificate_required, permissions: [...chosen] };
    const saved = await act(
      () =>
        must(
          role
            ? api.PATCH("/api/v1/roles/{name}", {
                params: { path: { name: role.name } },
                body: { version: role.version, ...body },
              })
            : api.POST("/api/v1/roles", { body }),
        ),
      t("saved"),
    );
    if (!saved) return;
    void client.invalidateQueries({ queryKey: ["roles"] });
    onClose();
  };
  const toggle = (permission: string, on: boolean) => {
    const next = new Set(chosen);
    if (on) next.add(permission);
    else next.delete(permission);
    setChosen(next);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-5">
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("name")} hint={t("nameHint")}>
          {(ids) => (
            <Input
              {...ids}
              required
              pattern="[a-z0-9_\-]{2,40}"
              value={name}
              onChange={(event) => setName(event.target.value)}
              className="mono"
            />
          )}
        </Field>
        <Field label={t("description")}>
          {(ids) => <Input {...ids} value={description} onChange={(event) => setDescription(event.target.value)} />}
        </Field>
      </div>
      <span className="flex items-center gap-3 text-sm">
        <Switch label={t("mfa")} checked={mfa_required} onChange={setMfa} /> {t("mfa")}
      </span>
      <span className="flex items-center gap-3 text-sm">
        <Switch label={t("certificate")} checked={certificate_required} onChange={setCertificate} /> {t("certificate")}
      </span>
      <div className="flex flex-col gap-4">
        {areas(table).map(([area, permissions]) => (
          <fieldset key={area} className="m-0 border-0 p-0">
            <legend className="mb-1.5 p-0 text-xs font-semibold text-text-3">{area}</legend>
            {permissions.map((permission) => (
              <div
                key={permission.name}
                className={classes(
                  "flex items-start gap-3 py-1 text-sm",
                  !session.permissions.includes(permission.name) && "opacity-50",
                )}
              >
                <span className="pt-0.5">
                  <Checkbox
                    label={permission.name}
                    checked={chosen.has(permission.name)}
                    onChange={(on) => toggle(permission.name, on)}
                  />
                </span>
                <span>
                  <span className="mono">{permission.name}</span>
                  <span className="block text-xs text-text-3">{permission.description}</span>
                </span>
              </div>
            ))}
          </fieldset>
        ))}
      </div>
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {t("save")}
      </Button>
    </form>
  );
}

function Matrix({
  roles,
  table,
  onEdit,
}: {
  roles: readonly Role[];
  table: readonly Permission[];
  onEdit: ((role: Role) => void) | undefined;
}) {
  const t = useText(text);
  return (
    <section aria-label={t("title")} tabIndex={0} className="panel relative mx-3 overflow-x-auto md:mx-6">
      <table className="w-full border-collapse text-sm">
        <thead>
          <tr className="border-b border-line align-bottom">
            <th className="sticky left-0 bg-surface px-4 py-3 text-left text-xs font-medium text-text-3">
              {t("permission")}
            </th>
            {roles.map((role) => (
              <th key={role.name} className="min-w-28 px-3 py-3 text-center font-normal">
                <span className="block font-semibold text-text">{role.name}</span>
                <span className="num block text-xs text-text-3">{t("people", { n: role.users })}</span>
                {role.built_in ? (
                  <span className="inline-flex items-center gap-1 text-xs text-text-3">
                    <Lock aria-hidden size={11} /> {t("builtIn")}
                  </span>
                ) : (
                  onEdit && (
                    <Button look="quiet" className="!h-6 !px-2 !text-xs" onClick={() => onEdit(role)}>
                      {t("edit")}
                    </Button>
                  )
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.map((permission, index) => (
            <tr
              key={permission.name}
              className={classes(
                "border-b border-line last:border-0 hover:bg-hover",
                permission.name.split(":")[0] !== table[index - 1]?.name.split(":")[0] && "border-t-line-strong",
              )}
            >
              <th scope="row" className="sticky left-0 bg-surface px-4 py-1.5 text-left font-normal">
                <span className="mono">{permission.name}</span>
                <span className="block text-xs text-text-3 max-md:hidden">{permission.description}</span>
              </th>
              {roles.map((role) => {
                const allowed = role.permissions.includes(permission.name);
                return (
                  <td key={role.name} className="px-3 py-1.5 text-center">
                    <span
                      aria-hidden
                      className={classes(
                        "inline-block size-2 rounded-full",
                        allowed ? "bg-accent" : "bg-line-strong/50",
                      )}
                    />
                    <span className="sr-only">{t(allowed ? "allowed" : "notAllowed")}</span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The roles against the one permission table. */
export default function RolesPage() {
  const t = useText(text);
  const client = useQueryClient();
  const manage = useCan("roles:manage");
  const roles = useQuery(rolesQuery);
  const table = useQuery(permissionsQuery);
  const { act } = useAction();
  const [editing, setEditing] = useState<Role | "new" | null>(null);
  const [deleting, setDeleting] = useState<Role | null>(null);
  const own = editing !== null && editing !== "new" ? editing : null;
  return (
    <div className="pb-8">
      <PageHeader title={t("title")} detail={t("lead")}>
        {manage && (
          <Button look="primary" icon={Plus} onClick={() => setEditing("new")}>
            {t("newRole")}
          </Button>
        )}
      </PageHeader>
      <Loaded query={roles}>
        {(data) => (
          <Loaded query={table}>
            {(permissions) => (
              <Matrix roles={data.items} table={permissions.items} onEdit={manage ? setEditing : undefined} />
            )}
          </Loaded>
        )}
      </Loaded>
      <Dialog
        open={editing !== null}
        onClose={() => setEditing(null)}
        title={own?.name ?? t("newRole")}
        description={own && <Badge>{t("permissions", { n: own.permissions.length })}</Badge>}
        sheet
        footer={
          own && (
            <Button look="danger" onClick={() => setDeleting(own)}>
              {t("delete")}
            </Button>
          )
        }
      >
        {editing !== null && (
          <Editor
            key={own?.name ?? "new"}
            role={own}
            table={table.data?.items ?? []}
            onClose={() => setEditing(null)}
          />
        )}
      </Dialog>
      <Confirm
        open={deleting !== null}
        onClose={() => setDeleting(null)}
        title={t("deleteTitle", { name: deleting?.name ?? "" })}
        description={t("deleteHint")}
        action={t("delete")}
        danger
        onConfirm={async () => {
          if (!deleting) return;
          const gone = await act(
            () =>
              must(api.DELETE("/api/v1/roles/{name}", { params: { path: { name: deleting.name } } })).then(() => true),
            t("deleted"),
          );
          if (gone) {
            setEditing(null);
            void client.invalidateQueries({ queryKey: ["roles"] });
          }
        }}
      />
    </div>
  );
}
