import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Button } from "@/ui/button";
import { Field, Input, Select } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Secret } from "@/ui/secret";
import { linkAddress, rolesQuery } from "./data";
import { text } from "./strings";

export type Link = Schema<"LinkMade">;

/** Shows a link that was just made. */
export function LinkDialog({ link, onClose }: { link: Link | null; onClose: () => void }) {
  const t = useText(text);
  const format = useFormat();
  return (
    <Dialog open={link !== null} onClose={onClose} title={t("linkTitle")} description={t("linkHint")}>
      {link && (
        <div className="flex flex-col gap-3">
          <Secret value={linkAddress(link.path)} label={t("linkTitle")} />
          <span className="text-xs text-text-3">{t("expires", { time: format.time(link.expires) })}</span>
        </div>
      )}
    </Dialog>
  );
}

export function RoleSelect({ value, onChange, id }: { value: string; onChange: (role: string) => void; id?: string }) {
  const t = useText(text);
  const roles = useQuery(rolesQuery);
  const names = roles.data?.items.map((role) => role.name) ?? ["admin", "operator", "viewer"];
  return (
    <Select
      {...(id ? { id } : {})}
      label={t("role")}
      value={value}
      onChange={onChange}
      options={names.map((name) => ({ value: name, label: name }))}
      className="w-full"
    />
  );
}

export function Invite({
  open,
  onClose,
  onMade,
}: {
  open: boolean;
  onClose: () => void;
  onMade: (link: Link) => void;
}) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [role, setRole] = useState("operator");
  const [email, setEmail] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const made = await act(() =>
      must(api.POST("/api/v1/invitations", { body: { role, email: email.trim() || null } })),
    );
    if (!made) return;
    void client.invalidateQueries({ queryKey: ["invitations"] });
    setEmail("");
    onMade(made);
  };
  return (
    <Dialog open={open} onClose={onClose} title={t("inviteTitle")} description={t("inviteHint")}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label={t("role")}>{(ids) => <RoleSelect id={ids.id} value={role} onChange={setRole} />}</Field>
        <Field label={t("email")}>
          {(ids) => (
            <Input
              {...ids}
              type="email"
              value={email}
              onChange={(event) => setEmail(event.target.value)}
              autoComplete="off"
            />
          )}
        </Field>
        <Button type="submit" look="primary" busy={busy} className="self-end">
          {t("makeLink")}
        </Button>
      </form>
    </Dialog>
  );
}

export function CreateUser({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [values, setValues] = useState({ name: "", display_name: "", email: "", password: "", role: "operator" });
  const set = (key: keyof typeof values) => (event: { target: { value: string } }) =>
    setValues((before) => ({ ...before, [key]: event.target.value }));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = { ...values, email: values.email.trim() || null };
    if (!(await act(() => must(api.POST("/api/v1/users", { body })), t("made")))) return;
    void client.invalidateQueries({ queryKey: ["users"] });
    onClose();
  };
  return (
    <Dialog open={open} onClose={onClose} title={t("create")}>
      <form onSubmit={submit} className="grid gap-4 sm:grid-cols-2">
        <Field label={t("name")}>
          {(ids) => <Input {...ids} required value={values.name} onChange={set("name")} autoComplete="off" />}
        </Field>
        <Field label={t("displayName")}>
          {(ids) => <Input {...ids} value={values.display_name} onChange={set("display_name")} autoComplete="off" />}
        </Field>
        <Field label={t("email")}>
          {(ids) => <Input {...ids} type="email" value={values.email} onChange={set("email")} autoComplete="off" />}
        </Field>
        <Field label={t("role")}>
          {(ids) => (
            <RoleSelect
              id={ids.id}
              value={values.role}
              onChange={(role) => setValues((before) => ({ ...before, role }))}
            />
          )}
        </Field>
        <div className="sm:col-span-2">
          <Field label={t("password")}>
            {(ids) => (
              <Input
                {...ids}
                type="password"
                required
                value={values.password}
                onChange={set("password")}
                autoComplete="new-password"
              />
            )}
          </Field>
        </div>
        <Button type="submit" look="primary" busy={busy} className="sm:col-span-2 sm:justify-self-end">
          {t("create")}
        </Button>
      </form>
    </Dialog>
  );
}
