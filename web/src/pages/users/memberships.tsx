import { useQueryClient } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useSession } from "@/app/session";
import { Button, IconButton } from "@/ui/button";
import { Select } from "@/ui/form";
import type { User } from "./data";
import { RoleSelect } from "./invite";
import { text } from "./strings";

/** The roles of an account in other tenants that whoever looks manages; only where there are several. */
export function Memberships({ user }: { user: User }) {
  const t = useText(text);
  const session = useSession();
  const client = useQueryClient();
  const { busy, act } = useAction();
  const managed = session.tenants.filter(
    (tenant) => tenant.id !== session.tenant && tenant.permissions.includes("users:manage"),
  );
  const held = user.memberships.filter((membership) => managed.some((tenant) => tenant.id === membership.tenant));
  const free = managed.filter((tenant) => !held.some((membership) => membership.tenant === tenant.id));
  const [tenant, setTenant] = useState("");
  const [role, setRole] = useState("viewer");
  if (managed.length === 0) return null;
  const chosen = free.some((one) => one.id === tenant) ? tenant : (free[0]?.id ?? "");
  const refresh = () => client.invalidateQueries({ queryKey: ["users"] });
  const give = (id: string, next: string) =>
    act(
      () =>
        must(
          api.PUT("/api/v1/users/{id}/memberships/{tenant}", {
            params: { path: { id: user.id, tenant: id } },
            body: { role: next },
          }),
        ),
      t("saved"),
    ).then(refresh);
  const take = (id: string) =>
    act(
      () =>
        must(
          api.DELETE("/api/v1/users/{id}/memberships/{tenant}", { params: { path: { id: user.id, tenant: id } } }),
        ).then(() => true),
      t("saved"),
    ).then(refresh);
  return (
    <section>
      <h3 className="m-0 mb-2 text-sm font-semibold">{t("otherTenants")}</h3>
      <ul className="m-0 flex list-none flex-col p-0">
        {held.map((membership) => (
          <li
            key={membership.tenant}
            className="flex items-center gap-3 border-t border-line py-1.5 text-sm first:border-0"
          >
            <span className="min-w-0 flex-1 truncate">{membership.name}</span>
            <span className="w-36">
              <RoleSelect value={membership.role} onChange={(next) => void give(membership.tenant, next)} />
            </span>
            <IconButton
              label={t("takeRole", { tenant: membership.name })}
              icon={X}
              onClick={() => void take(membership.tenant)}
            />
          </li>
        ))}
      </ul>
      {free.length > 0 && (
        <div className="mt-2 flex flex-wrap items-center gap-2">
          <Select
            label={t("tenant")}
            value={chosen}
            onChange={setTenant}
            options={free.map((one) => ({ value: one.id, label: one.name }))}
            className="min-w-40"
          />
          <span className="w-36">
            <RoleSelect value={role} onChange={setRole} />
          </span>
          <Button busy={busy} onClick={() => void give(chosen, role)}>
            {t("giveRole")}
          </Button>
        </div>
      )}
    </section>
  );
}
