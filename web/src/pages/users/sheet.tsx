import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, Problem } from "@/api/client";
import { proven, useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan, useSession } from "@/app/session";
import { SessionRows } from "@/pages/profile/sessions";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Confirm, Dialog } from "@/ui/overlay";
import { Facts } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Ago, At } from "@/ui/time";
import { failed } from "@/ui/toast";
import { UserCertificates } from "./certificates";
import type { User } from "./data";
import { type Link, RoleSelect } from "./invite";
import { Memberships } from "./memberships";
import { text } from "./strings";

/** One account, to look at and to change. */
export function UserSheet({
  user,
  onClose,
  onLink,
}: {
  user: User | undefined;
  onClose: () => void;
  onLink: (link: Link) => void;
}) {
  return (
    <Dialog
      open={user !== undefined}
      onClose={onClose}
      title={user?.display_name || user?.name || ""}
      description={user?.name}
      sheet
    >
      {user && <Body key={`${user.id}-${user.version}`} user={user} onClose={onClose} onLink={onLink} />}
    </Dialog>
  );
}

function Body({ user, onClose, onLink }: { user: User; onClose: () => void; onLink: (link: Link) => void }) {
  const t = useText(text);
  const client = useQueryClient();
  const manage = useCan("users:manage");
  const session = useSession();
  const { busy, act } = useAction();
  const [values, setValues] = useState({ display_name: user.display_name, email: user.email ?? "", role: user.role });
  const [deleting, setDeleting] = useState(false);
  const [resetting, setResetting] = useState(false);
  const params = { path: { id: user.id } };
  const sessions = useQuery({
    queryKey: ["sessions", user.id],
    queryFn: () => must(api.GET("/api/v1/users/{id}/sessions", { params })),
  });
  const refresh = () => client.invalidateQueries({ queryKey: ["users"] });
  const change = (part: { display_name?: string; email?: string | null; role?: string; disabled?: boolean }) =>
    act(async () => {
      try {
        return await must(api.PATCH("/api/v1/users/{id}", { params, body: { version: user.version, ...part } }));
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") {
          await refresh();
          throw new Error(t("conflict"));
        }
        throw error;
      }
    }, t("saved")).then((next) => next && refresh());
  const save = (event: FormEvent) => {
    event.preventDefault();
    void change({
      ...(user.home ? { display_name: values.display_name, email: values.email.trim() || null } : {}),
      role: values.role,
    });
  };
  const endOne = (id: string) =>
    act(
      () =>
        must(
          api.DELETE("/api/v1/users/{id}/sessions/{session}", { params: { path: { id: user.id, session: id } } }),
        ).then(() => true),
      t("endOne"),
    ).then(() => sessions.refetch());
  const reset = async () => {
    try {
      const link = await proven(() =>
        must(api.POST("/api/v1/users/{id}/reset-link", { params, body: { expires_hours: null } })),
      );
      if (link) onLink(link);
    } catch (error) {
      failed(error);
    }
  };
  const own = session.user === user.id;
  const { directory } = user as User & { directory?: string | null };
  return (
    <div className="flex flex-col gap-6">
      <Facts
        items={[
          [
            t("status"),
            <Badge key="s" tone={user.status === "active" ? "good" : user.status === "pending" ? "medium" : "neutral"}>
              {t(user.status as "active")}
            </Badge>,
          ],
          [t("second"), t(user.mfa ? "yes" : "no")],
          [t("directory"), directory && `${directory}. ${t("directoryHint")}`],
          [t("created"), <At key="c" time={user.created} />],
          [t("lastSignIn"), <Ago key="l" time={user.last_sign_in} />],
          [t("tenants"), user.memberships.map((m) => `${m.name} (${m.role})`).join(", ")],
        ]}
      />
      {manage && (
        <form onSubmit={save} className="flex flex-col gap-4">
          {user.pending && <p className="m-0 text-sm text-text-2">{t("approveHint")}</p>}
          {user.home && !directory && (
            <>
              <Field label={t("displayName")}>
                {(ids) => (
                  <Input
                    {...ids}
                    value={values.display_name}
                    onChange={(event) => setValues((before) => ({ ...before, display_name: event.target.value }))}
                  />
                )}
              </Field>
              <Field label={t("email")}>
                {(ids) => (
                  <Input
                    {...ids}
                    type="email"
                    value={values.email}
                    onChange={(event) => setValues((before) => ({ ...before, email: event.target.value }))}
                  />
                )}
              </Field>
            </>
          )}
          <Field label={t("role")}>
            {(ids) => (
              <RoleSelect
                id={ids.id}
                value={values.role}
                onChange={(role) => setValues((before) => ({ ...before, role }))}
              />
            )}
          </Field>
          <div className="flex flex-wrap gap-2">
            <Button type="submit" look="primary" busy={busy}>
              {t("save")}
            </Button>
            {user.pending && (
              <Button
                onClick={() =>
                  void act(
                    () => must(api.POST("/api/v1/users/{id}/approve", { params, body: { role: values.role } })),
                    t("approved"),
                  ).then(refresh)
                }
              >
                {t("approve")}
              </Button>
            )}
            {user.home && !user.pending && !directory && <Button onClick={() => void reset()}>{t("resetLink")}</Button>}
            {user.home && user.mfa && <Button onClick={() => setResetting(true)}>{t("resetFactors")}</Button>}
            {user.home && !own && (
              <Button onClick={() => void change({ disabled: !user.disabled })}>
                {t(user.disabled ? "enable" : "disable")}
              </Button>
            )}
            {!own && (
              <Button look="danger" onClick={() => setDeleting(true)}>
                {t("delete")}
              </Button>
            )}
          </div>
        </form>
      )}
      <section>
        <div className="mb-2 flex items-center justify-between">
          <h3 className="m-0 text-sm font-semibold">{t("sessions")}</h3>
          {manage && (sessions.data?.items.length ?? 0) > 0 && (
            <Button
              look="quiet"
              onClick={() =>
                void act(
                  () => must(api.DELETE("/api/v1/users/{id}/sessions", { params })).then(() => true),
                  t("ended"),
                ).then(() => sessions.refetch())
              }
            >
              {t("endAll")}
            </Button>
          )}
        </div>
        <Loaded query={sessions} rows={2}>
          {(data) =>
            data.items.length === 0 ? (
              <p className="m-0 text-sm text-text-3">{t("noSessions")}</p>
            ) : (
              <SessionRows
                rows={data.items}
                {...(manage && user.home ? { onEnd: (row) => void endOne(row.id) } : {})}
              />
            )
          }
        </Loaded>
      </section>
      {manage && <Memberships user={user} />}
      <UserCertificates user={user.id} manage={manage && user.home} />
      <Confirm
        open={resetting}
        onClose={() => setResetting(false)}
        title={t("resetFactorsTitle", { name: user.name })}
        description={t("resetFactorsHint")}
        action={t("resetFactors")}
        danger
        onConfirm={async () => {
          await act(
            () => must(api.DELETE("/api/v1/users/{id}/factors", { params })).then(() => true),
            t("factorsReset"),
          );
          await refresh();
        }}
      />
      <Confirm
        open={deleting}
        onClose={() => setDeleting(false)}
        title={t("deleteTitle", { name: user.name })}
        description={t("deleteHint")}
        action={t("delete")}
        danger
        onConfirm={async () => {
          const gone = await act(
            () => must(api.DELETE("/api/v1/users/{id}", { params })).then(() => true),
            t("deleted"),
          );
          if (gone) {
            onClose();
            await refresh();
          }
        }}
      />
    </div>
  );
}
