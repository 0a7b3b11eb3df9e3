import { useQuery } from "@tanstack/react-query";
import { BadgeCheck, Link2, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { offerQuery } from "@/factors/enrol";
import { catalogue } from "@/i18n/text";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Confirm } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Ago, At } from "@/ui/time";

const text = catalogue({
  identities: ["Other ways to sign in", "Andere Wege zur Anmeldung"],
  managed: ["Looks after your roles", "Verwaltet Ihre Rollen"],
  link: ["Link {provider}", "{provider} verknüpfen"],
  unlink: ["Unlink", "Lösen"],
  unlinked: ["Unlinked", "Gelöst"],
  certificates: ["Client certificates", "Client-Zertifikate"],
  certificatesHint: [
    "A certificate that your browser presents can sign you in.",
    "Ein Zertifikat, das Ihr Browser vorlegt, kann Sie anmelden.",
  ],
  register: ["Register the one presented now", "Das jetzt vorgelegte eintragen"],
  registered: ["Certificate registered", "Zertifikat eingetragen"],
  presented: ["Presented by this browser", "Von diesem Browser vorgelegt"],
  remove: ["Remove {name}", "{name} entfernen"],
  removeTitle: ["Remove {name}?", "{name} entfernen?"],
  removeHint: [
    "It opens the account no longer, and other sessions of the account end.",
    "Es öffnet das Konto nicht mehr, und andere Sitzungen des Kontos enden.",
  ],
  removeAction: ["Remove", "Entfernen"],
  removed: ["Certificate removed", "Zertifikat entfernt"],
  until: ["Valid until", "Gültig bis"],
});

/** A client certificate that opens an account. */
type Certificate = Schema<"CertificateView">;

const identitiesQuery = {
  queryKey: ["identities"],
  queryFn: () => must(api.GET("/api/v1/session/identities")),
};
const certificatesQuery = {
  queryKey: ["certificates"],
  queryFn: () => must(api.GET("/api/v1/session/certificates")),
};
const ROW = "flex items-center gap-3 border-t border-line py-2.5 text-sm first:border-0";

/** Links to identity providers; only where there are any. */
export function Identities() {
  const t = useText(text);
  const { act } = useAction();
  const offer = useQuery(offerQuery);
  const query = useQuery(identitiesQuery);
  const providers = offer.data?.providers ?? [];
  const items = query.data?.items ?? [];
  const open = providers.filter((provider) => !items.some((item) => item.provider === provider.name));
  if (items.length === 0 && open.length === 0) return null;
  const link = async (provider: string) => {
    const body = { provider, return: "/profile" };
    const begun = await act(() => must(api.POST("/api/v1/session/identities", { body })));
    if (begun) location.assign(begun.url);
  };
  const unlink = (id: string) =>
    act(() => must(api.DELETE("/api/v1/session/identities/{id}", { params: { path: { id } } })), t("unlinked")).then(
      () => query.refetch(),
    );
  return (
    <Panel
      title={t("identities")}
      aside={open.map((provider) => (
        <Button key={provider.name} icon={Plus} onClick={() => void link(provider.name)}>
          {t("link", { provider: provider.label })}
        </Button>
      ))}
    >
      <ul className="m-0 flex list-none flex-col p-0">
        {items.map((item) => (
          <li key={item.id} className={ROW}>
            <Link2 aria-hidden size={18} className="shrink-0 text-text-3" />
            <span className="min-w-0 flex-1">
              <span className="flex items-center gap-2 font-medium">
                {item.label} {item.managed && <Badge>{t("managed")}</Badge>}
              </span>
              <span className="block truncate text-xs text-text-3">
                {item.subject} · <Ago time={item.last_used} />
              </span>
            </span>
            {!item.managed && (
              <Button look="quiet" onClick={() => void unlink(item.id)}>
                {t("unlink")}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Whom a certificate is for, by its common name. */
function holder(subject: string): string {
  return /(?:^|, )CN=([^,]+)/.exec(subject)?.[1] ?? subject;
}

/** One's client certificates; only where one is registered or presented. */
export function OwnCertificates() {
  const t = useText(text);
  const { act } = useAction();
  // Asked for on every connection: what was lost has to be removed by one that does not show it.
  const query = useQuery(certificatesQuery);
  const { items = [], presented = null } = query.data ?? {};
  if (items.length === 0 && !presented) return null;
  const fresh = presented && !presented.registered;
  return (
    <Panel
      title={t("certificates")}
      aside={
        fresh && (
          <Button
            icon={Plus}
            onClick={() =>
              void act(
                () => must(api.POST("/api/v1/session/certificates", { body: { name: holder(presented.subject) } })),
                t("registered"),
              ).then(() => query.refetch())
            }
          >
            {t("register")}
          </Button>
        )
      }
    >
      <p className="m-0 pb-2 text-xs text-text-3">{t("certificatesHint")}</p>
      {fresh && (
        <p className="mb-2 mt-0 text-sm">
          {t("presented")}: <span className="mono break-words">{presented.subject}</span>
        </p>
      )}
      <CertificateRows
        items={items}
        onRemove={({ id }) =>
          act(
            () => must(api.DELETE("/api/v1/session/certificates/{id}", { params: { path: { id } } })).then(() => true),
            t("removed"),
          ).then(() => query.refetch())
        }
      />
    </Panel>
  );
}

/** Certificates below one another, one's own or those of an account. */
export function CertificateRows({
  items,
  onRemove,
}: {
  items: readonly Certificate[];
  onRemove?: (item: Certificate) => Promise<unknown>;
}) {
  const t = useText(text);
  const [removing, setRemoving] = useState<Certificate | null>(null);
  const name = (item: Certificate | null) => item?.name || item?.subject || "";
  return (
    <ul className="m-0 flex list-none flex-col p-0">
      {items.map((item) => (
        <li key={item.id} className={ROW}>
          <BadgeCheck aria-hidden size={18} className="shrink-0 text-text-3" />
          <span className="min-w-0 flex-1">
            <span className="block truncate font-medium">{name(item)}</span>
            <span className="mono block truncate text-xs text-text-3" title={item.fingerprint}>
              {item.subject}
            </span>
            <span className="block text-xs text-text-3">
              {t("until")} <At time={item.not_after} />
            </span>
          </span>
          {onRemove && (
            <IconButton icon={Trash2} label={t("remove", { name: name(item) })} onClick={() => setRemoving(item)} />
          )}
        </li>
      ))}
      {onRemove && (
        <Confirm
          open={removing !== null}
          onClose={() => setRemoving(null)}
          title={t("removeTitle", { name: name(removing) })}
          description={t("removeHint")}
          action={t("removeAction")}
          danger
          onConfirm={async () => {
            if (removing) await onRemove(removing);
          }}
        />
      )}
    </ul>
  );
}
