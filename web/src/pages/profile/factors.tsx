import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Fingerprint, KeyRound, Pencil, Plus, ShieldCheck, ShieldOff, Smartphone, Trash2 } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useSession } from "@/app/session";
import { Enrol } from "@/factors/enrol";
import { RecoveryCodes } from "@/factors/recovery-codes";
import { text as factorText } from "@/factors/strings";
import { catalogue } from "@/i18n/text";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Input } from "@/ui/form";
import { Confirm, Dialog } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";

type Factor = Schema<"FactorView">;

const text = catalogue({
  title: ["Second factor", "Zweiter Faktor"],
  on: ["On", "Ein"],
  add: ["Add", "Hinzufügen"],
  addTitle: ["Add a second factor", "Zweiten Faktor hinzufügen"],
  none: ["Your password alone opens your account", "Allein Ihr Passwort öffnet Ihr Konto"],
  noneHint: [
    "With a second factor, a stolen password is not enough.",
    "Mit einem zweiten Faktor reicht ein gestohlenes Passwort nicht.",
  ],
  required: [
    "Your role requires a second factor: without it, you set up another at your next sign-in.",
    "Ihre Rolle verlangt einen zweiten Faktor: ohne ihn richten Sie bei der nächsten Anmeldung einen neuen ein.",
  ],
  used: ["last used", "zuletzt benutzt"],
  never: ["not used yet", "noch nicht benutzt"],
  rename: ["Rename {name}", "{name} umbenennen"],
  newName: ["New name", "Neuer Name"],
  save: ["Save", "Speichern"],
  renamed: ["Renamed", "Umbenannt"],
  remove: ["Remove {name}", "{name} entfernen"],
  removeTitle: ["Remove {name}?", "{name} entfernen?"],
  removeHint: [
    "It opens your account no longer. Take it off the device, too.",
    "Damit lässt sich Ihr Konto nicht mehr öffnen. Löschen Sie es auch auf dem Gerät.",
  ],
  removeAction: ["Remove", "Entfernen"],
  removed: ["Second factor removed", "Zweiter Faktor entfernt"],
  done: ["Second factor added", "Zweiter Faktor hinzugefügt"],
  left: ["{n} recovery {n|code|codes} left", "Noch {n} {n|Wiederherstellungscode|Wiederherstellungscodes}"],
  leftHint: ["For the day your second factor is lost", "Für den Tag, an dem der zweite Faktor fehlt"],
  fresh: ["New codes", "Neue Codes"],
  freshTitle: ["Make new recovery codes?", "Neue Wiederherstellungscodes erzeugen?"],
  freshHint: ["The old ones stop working at once.", "Die alten gelten sofort nicht mehr."],
});

const factorsQuery = { queryKey: ["factors"], queryFn: () => must(api.GET("/api/v1/session/factors")) };

/** One's second factors and recovery codes. */
export function Factors() {
  const t = useText(text);
  const f = useText(factorText);
  const client = useQueryClient();
  const session = useSession();
  const { act } = useAction();
  const query = useQuery(factorsQuery);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Factor | null>(null);
  const [renewing, setRenewing] = useState(false);
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ["session"] });
    void client.invalidateQueries({ queryKey: ["sessions"] });
    return client.invalidateQueries({ queryKey: ["factors"] });
  };
  const count = query.data?.factors.length ?? 0;
  return (
    <Panel
      title={
        <span className="flex items-center gap-2">
          {t("title")} {count > 0 && <Badge tone="good">{t("on")}</Badge>}
        </span>
      }
      aside={
        <Button icon={Plus} look={count === 0 ? "primary" : "plain"} onClick={() => setAdding(true)}>
          {t("add")}
        </Button>
      }
    >
      <Loaded query={query} rows={3}>
        {(data) =>
          data.factors.length === 0 ? (
            <Empty icon={ShieldOff} title={t("none")}>
              {t("noneHint")}
            </Empty>
          ) : (
            <ul className="m-0 flex list-none flex-col p-0">
              {data.factors.map((factor) => (
                <Row key={factor.id} factor={factor} onRemove={() => setRemoving(factor)} onRenamed={refresh} />
              ))}
              <li className="flex items-center gap-3 border-t border-line py-2.5 text-sm">
                <KeyRound aria-hidden size={18} className="shrink-0 text-text-3" />
                <span className="min-w-0 flex-1">
                  <span className={data.recovery_codes_left < 3 ? "block font-medium text-high" : "block font-medium"}>
                    {t("left", { n: data.recovery_codes_left })}
                  </span>
                  <span className="block text-xs text-text-3">{t("leftHint")}</span>
                </span>
                <Button look="quiet" onClick={() => setRenewing(true)}>
                  {t("fresh")}
                </Button>
              </li>
            </ul>
          )
        }
      </Loaded>
      <Dialog open={adding} onClose={() => setAdding(false)} title={t("addTitle")}>
        {adding && (
          <Enrol
            onDone={(made) => {
              setAdding(false);
              if (made.length > 0) setCodes(made);
              void refresh();
            }}
          />
        )}
      </Dialog>
      <Dialog open={codes !== null} onClose={() => setCodes(null)} title={f("codesTitle")}>
        {codes && <RecoveryCodes codes={codes} account={session.name} onKept={() => setCodes(null)} />}
      </Dialog>
      <Confirm
        open={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("removeTitle", { name: removing?.name ?? "" })}
        description={
          <>
            {t("removeHint")}
            {session.mfa.required && count === 1 && <p className="mb-0 mt-3 text-high">{t("required")}</p>}
          </>
        }
        action={t("removeAction")}
        danger
        onConfirm={async () => {
          if (!removing) return;
          const params = { path: { id: removing.id } };
          await act(() => must(api.DELETE("/api/v1/session/factors/{id}", { params })).then(() => true), t("removed"));
          await refresh();
        }}
      />
      <Confirm
        open={renewing}
        onClose={() => setRenewing(false)}
        title={t("freshTitle")}
        description={t("freshHint")}
        action={t("fresh")}
        onConfirm={async () => {
          const made = await act(() => must(api.POST("/api/v1/session/recovery-codes")));
          if (made) setCodes(made.recovery_codes);
          await refresh();
        }}
      />
    </Panel>
  );
}

function Row({
  factor,
  onRemove,
  onRenamed,
}: {
  factor: Factor;
  onRemove: () => void;
  onRenamed: () => Promise<unknown>;
}) {
  const t = useText(text);
  const { busy, act } = useAction();
  const [name, setName] = useState<string | null>(null);
  const passkey = factor.kind === "passkey";
  const Icon = passkey ? Fingerprint : factor.kind === "totp" ? Smartphone : ShieldCheck;
  const rename = async (event: FormEvent) => {
    event.preventDefault();
    if (name === null) return;
    const params = { path: { id: factor.id } };
    const body = { name: name.trim() };
    if (!(await act(() => must(api.PATCH("/api/v1/session/factors/{id}", { params, body })), t("renamed")))) return;
    setName(null);
    await onRenamed();
  };
  return (
    <li className="flex items-center gap-3 border-t border-line py-2.5 text-sm first:border-0">
      <Icon aria-hidden size={18} className="shrink-0 text-text-3" />
      {name === null ? (
        <span className="min-w-0 flex-1">
          <span className="block truncate font-medium">{factor.name}</span>
          <span className="block text-xs text-text-3">
            <Ago time={factor.created} /> ·{" "}
            {factor.last_used ? (
              <>
                {t("used")} <Ago time={factor.last_used} />
              </>
            ) : (
              t("never")
            )}
          </span>
        </span>
      ) : (
        <form onSubmit={rename} className="flex min-w-0 flex-1 gap-2">
          <Input
            aria-label={t("newName")}
            value={name}
            autoFocus
            required
            maxLength={60}
            onChange={(event) => setName(event.target.value)}
            onKeyDown={(event) => event.key === "Escape" && setName(null)}
          />
          <Button type="submit" look="primary" busy={busy}>
            {t("save")}
          </Button>
        </form>
      )}
      {name === null && (
        <IconButton
          label={t("rename", { name: factor.name })}
          icon={Pencil}
          size={14}
          onClick={() => setName(factor.name)}
        />
      )}
      <IconButton label={t("remove", { name: factor.name })} icon={Trash2} size={14} onClick={onRemove} />
    </li>
  );
}
