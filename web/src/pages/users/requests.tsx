import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { Button } from "@/ui/button";
import { Confirm } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Ago } from "@/ui/time";
import type { User } from "./data";
import { RoleSelect } from "./invite";
import { text } from "./strings";

const pendingQuery = {
  queryKey: ["users", "pending"],
  queryFn: () =>
    must(api.GET("/api/v1/users", { params: { query: { status: "pending", sort: "created", limit: 50 } } })),
};

/** Who asks for an account and waits for an answer. */
export function Requests() {
  const t = useText(text);
  const query = useQuery(pendingQuery);
  if (!query.data || query.data.items.length === 0) return null;
  return (
    <Panel title={t("requests")} label={t("requests")} className="mx-3 mb-3 md:mx-6">
      <ul className="m-0 flex max-h-64 list-none flex-col overflow-y-auto p-0">
        {query.data.items.map((user) => (
          <Request key={user.id} user={user} />
        ))}
      </ul>
    </Panel>
  );
}

function Request({ user }: { user: User }) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const [role, setRole] = useState(user.role || "viewer");
  const [refusing, setRefusing] = useState(false);
  const params = { path: { id: user.id } };
  const refresh = () => client.invalidateQueries({ queryKey: ["users"] });
  const approve = async () => {
    await act(() => must(api.POST("/api/v1/users/{id}/approve", { params, body: { role } })), t("approved"));
    await refresh();
  };
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 border-t border-line py-2 text-sm first:border-0">
      <span className="min-w-0 flex-1 max-sm:basis-full">
        <span className="block truncate font-medium">
          {user.name} {user.display_name && <span className="font-normal text-text-2">{user.display_name}</span>}
        </span>
        <span className="block truncate text-xs text-text-3">
          {user.email ?? "–"} · <Ago time={user.created} />
        </span>
      </span>
      <span className="w-36">
        <RoleSelect value={role} onChange={setRole} />
      </span>
      <Button look="primary" busy={busy} onClick={() => void approve()}>
        {t("approve")}
      </Button>
      <Button onClick={() => setRefusing(true)}>{t("refuse")}</Button>
      <Confirm
        open={refusing}
        onClose={() => setRefusing(false)}
        title={t("refuseTitle", { name: user.name })}
        description={t("refuseHint")}
        action={t("refuse")}
        danger
        onConfirm={async () => {
          await act(() => must(api.DELETE("/api/v1/users/{id}", { params })).then(() => true), t("refused"));
          await refresh();
        }}
      />
    </li>
  );
}
