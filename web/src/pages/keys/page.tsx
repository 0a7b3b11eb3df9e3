import { useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound, Plus } from "lucide-react";
import { type FormEvent, useMemo, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useSession } from "@/app/session";
import { catalogue } from "@/i18n/text";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Checkbox, Field, Input } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ExportMenu } from "@/ui/grid/export-menu";
import { Grid } from "@/ui/grid/grid";
import { Confirm, Dialog } from "@/ui/overlay";
import { PageHeader } from "@/ui/panel";
import { Secret } from "@/ui/secret";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";

type Key = Schema<"KeyView">;

const text = catalogue({
  title: ["API keys", "API-Schlüssel"],
  lead: ["For programs: scoped, expiring, shown once", "Für Programme: begrenzt, befristet, einmal gezeigt"],
  newKey: ["New key", "Neuer Schlüssel"],
  name: ["Name", "Name"],
  nameHint: ["Which program uses it", "Welches Programm ihn benutzt"],
  owner: ["Made by", "Erstellt von"],
  scope: ["May do", "Darf"],
  expires: ["Expires", "Läuft ab"],
  used: ["Last used", "Zuletzt benutzt"],
  status: ["Status", "Status"],
  active: ["Active", "Aktiv"],
  expired: ["Expired", "Abgelaufen"],
  revoked: ["Revoked", "Widerrufen"],
  make: ["Make key", "Schlüssel erzeugen"],
  secretTitle: ["The key, shown once", "Der Schlüssel, einmal gezeigt"],
  secretHint: ["Copy it now. Only its hash is kept.", "Kopieren Sie ihn jetzt. Nur sein Hash wird aufbewahrt."],
  revoke: ["Revoke", "Widerrufen"],
  revokeTitle: ["Revoke {name}?", "{name} widerrufen?"],
  revokeHint: ["Whatever uses it is refused from now on.", "Was ihn benutzt, wird ab sofort abgewiesen."],
  revokedDone: ["Key revoked", "Schlüssel widerrufen"],
  none: ["No keys yet", "Noch keine Schlüssel"],
  noneHint: [
    "Make one for a script, a dashboard or an integration.",
    "Erzeugen Sie einen für ein Skript, ein Dashboard oder eine Integration.",
  ],
  permissionCount: ["{n} {n|permission|permissions}", "{n} {n|Berechtigung|Berechtigungen}"],
});

const keysQuery = { queryKey: ["keys"], queryFn: () => must(api.GET("/api/v1/api-keys")) };
const DAY_MS = 86_400_000;

function Make({ onMade }: { onMade: (secret: string) => void }) {
  const t = useText(text);
  const client = useQueryClient();
  const { permissions } = useSession();
  const { busy, act } = useAction();
  const [name, setName] = useState("");
  const [expires, setExpires] = useState(() => new Date(Date.now() + 90 * DAY_MS).toISOString().slice(0, 10));
  const [chosen, setChosen] = useState<ReadonlySet<string>>(
    new Set(permissions.filter((permission) => permission.endsWith(":read"))),
  );
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = { name, permissions: [...chosen], expires: new Date(`${expires}T23:59:59Z`).toISOString() };
    const made = await act(() => must(api.POST("/api/v1/api-keys", { body })));
    if (!made) return;
    void client.invalidateQueries({ queryKey: ["keys"] });
    onMade(made.secret);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("name")} hint={t("nameHint")}>
          {(ids) => <Input {...ids} required value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label={t("expires")}>
          {(ids) => (
            <Input {...ids} required type="date" value={expires} onChange={(event) => setExpires(event.target.value)} />
          )}
        </Field>
      </div>
      <fieldset className="m-0 border-0 p-0">
        <legend className="mb-2 p-0 text-sm font-medium">{t("scope")}</legend>
        <div className="grid gap-x-4 gap-y-2 sm:grid-cols-2">
          {permissions.map((permission) => (
            <span key={permission} className="flex items-center gap-2.5 text-sm">
              <Checkbox
                label={permission}
                checked={chosen.has(permission)}
                onChange={(on) =>
                  setChosen(new Set(on ? [...chosen, permission] : [...chosen].filter((other) => other !== permission)))
                }
              />
              <span className="mono">{permission}</span>
            </span>
          ))}
        </div>
      </fieldset>
      <Button type="submit" look="primary" busy={busy} disabled={chosen.size === 0} className="self-end">
        {t("make")}
      </Button>
    </form>
  );
}

export default function KeysPage() {
  const t = useText(text);
  const client = useQueryClient();
  const { act } = useAction();
  const query = useQuery(keysQuery);
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const columns = useMemo<readonly Column<Key>[]>(
    () => [
      {
        id: "name",
        label: t("name"),
        width: 200,
        grow: 2,
        cell: (key) => (
          <span>
            <span className="font-medium">{key.name}</span> <span className="mono text-text-3">{key.public_id}</span>
          </span>
        ),
        value: (key) => key.name,
      },
      {
        id: "status",
        label: t("status"),
        width: 110,
        grow: 0,
        cell: (key) => <Badge tone={key.status === "active" ? "good" : "neutral"}>{t(key.status as "active")}</Badge>,
        value: (key) => key.status,
      },
      { id: "user", label: t("owner"), width: 130, cell: (key) => key.user_name ?? "–", value: (key) => key.user_name },
      {
        id: "permissions",
        label: t("scope"),
        width: 140,
        grow: 0,
        cell: (key) => (
          <span title={key.permissions.join(", ")}>{t("permissionCount", { n: key.permissions.length })}</span>
        ),
        value: (key) => key.permissions.join(" "),
      },
      {
        id: "expires",
        label: t("expires"),
        width: 120,
        grow: 0,
        end: true,
        cell: (key) => <Ago time={key.expires} />,
        value: (key) => key.expires,
      },
      {
        id: "last_used",
        label: t("used"),
        width: 130,
        grow: 0,
        end: true,
        cell: (key) => <Ago time={key.last_used} />,
        value: (key) => key.last_used,
      },
      {
        id: "revoke",
        label: t("revoke"),
        quiet: true,
        width: 110,
        grow: 0,
        end: true,
        cell: (key) =>
          key.status === "active" && (
            <Button className="!h-7" onClick={() => setRevoking(key)}>
              {t("revoke")}
            </Button>
          ),
      },
    ],
    [t],
  );
  return (
    <div className="flex h-full flex-col">
      <PageHeader title={t("title")} detail={t("lead")}>
        <ExportMenu
          name="api-keys"
          columns={columns}
          pages={async function* () {
            yield query.data?.items ?? [];
          }}
        />
        <Button look="primary" icon={Plus} onClick={() => setMaking(true)}>
          {t("newKey")}
        </Button>
      </PageHeader>
      <div className="panel mx-3 mb-3 flex min-h-0 flex-1 flex-col overflow-hidden md:mx-6 md:mb-6">
        <Loaded query={query}>
          {(data) => (
            <Grid
              label={t("title")}
              columns={columns}
              rows={data.items}
              rowId={(key) => key.id}
              cardHeight={92}
              card={(key) => (
                <div className="flex h-full flex-col justify-between text-sm">
                  <div className="flex items-center justify-between gap-3">
                    <span className="truncate font-medium">{key.name}</span>
                    <Badge tone={key.status === "active" ? "good" : "neutral"}>{t(key.status as "active")}</Badge>
                  </div>
                  <div className="flex items-center justify-between gap-3 text-xs text-text-3">
                    <span className="min-w-0 truncate">
                      <span className="mono">{key.public_id}</span> · {key.user_name ?? "–"}
                    </span>
                    <span className="shrink-0">
                      {t("expires")} <Ago time={key.expires} />
                    </span>
                  </div>
                  <div className="flex items-center justify-between text-xs text-text-3">
                    {t("permissionCount", { n: key.permissions.length })}
                    {key.status === "active" && (
                      <button type="button" className="font-medium text-text" onClick={() => setRevoking(key)}>
                        {t("revoke")}
                      </button>
                    )}
                  </div>
                </div>
              )}
              empty={
                <Empty icon={KeyRound} title={t("none")}>
                  {t("noneHint")}
                </Empty>
              }
            />
          )}
        </Loaded>
      </div>
      <Dialog open={making} onClose={() => setMaking(false)} title={t("newKey")} wide>
        {making && (
          <Make
            onMade={(made) => {
              setMaking(false);
              setSecret(made);
            }}
          />
        )}
      </Dialog>
      <Dialog
        open={secret !== null}
        onClose={() => setSecret(null)}
        title={t("secretTitle")}
        description={t("secretHint")}
      >
        {secret && <Secret value={secret} label={t("secretTitle")} />}
      </Dialog>
      <Confirm
        open={revoking !== null}
        onClose={() => setRevoking(null)}
        title={t("revokeTitle", { name: revoking?.name ?? "" })}
        description={t("revokeHint")}
        action={t("revoke")}
        danger
        onConfirm={async () => {
          if (!revoking) return;
          await act(
            () => must(api.DELETE("/api/v1/api-keys/{id}", { params: { path: { id: revoking.id } } })),
            t("revokedDone"),
          );
          void client.invalidateQueries({ queryKey: ["keys"] });
        }}
      />
    </div>
  );
}
