import { useNavigate } from "@tanstack/react-router";
import {
  Bell,
  ChevronDown,
  Crosshair,
  Database,
  DatabaseZap,
  GitCompareArrows,
  Pencil,
  Play,
  Radar,
  ShieldOff,
  SquareTerminal,
  Trash2,
} from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { Give } from "@/pages/commands/give";
import { text as commands } from "@/pages/commands/strings";
import type { Host } from "@/pages/hosts/data";
import { text as hosts } from "@/pages/hosts/strings";
import { text as liveQuery } from "@/pages/live-query/strings";
import { Button } from "@/ui/button";
import { Menu, MenuItem, MenuLine } from "@/ui/menu";
import { Confirm } from "@/ui/overlay";
import { EditHost } from "./edit";
import { huntSql } from "./pivots";
import { text } from "./strings";

/** What can be done with one host, and where to look further. */
export function Actions({ host }: { host: Host }) {
  const t = useText(text);
  const h = useText(hosts);
  const c = useText(commands);
  const l = useText(liveQuery);
  const navigate = useNavigate();
  const refresh = useFreshen("hosts");
  const { act } = useAction();
  const manage = useCan("hosts:manage");
  const may = useCan("hosts:command");
  const seesAlerts = useCan("alerts:read");
  const hunts = useCan("flows:read");
  const asks = useCan("flows:sql");
  const queries = useCan("hosts:query");
  const [editing, setEditing] = useState(false);
  const [giving, setGiving] = useState(false);
  const [asking, setAsking] = useState<"revoke" | "delete" | null>(null);
  const params = { path: { id: host.id } };
  return (
    <>
      <Menu
        trigger={
          <Button>
            {t("actions")} <ChevronDown aria-hidden size={14} />
          </Button>
        }
      >
        {manage && (
          <MenuItem icon={Pencil} onSelect={() => setEditing(true)}>
            {t("edit")}
          </MenuItem>
        )}
        {may && host.status !== "revoked" && (
          <MenuItem icon={Play} onSelect={() => setGiving(true)}>
            {c("give")}
          </MenuItem>
        )}
        {queries && host.status !== "revoked" && (
          <MenuItem
            icon={DatabaseZap}
            onSelect={() => void navigate({ to: "/live-query", search: { hosts: host.id } })}
          >
            {l("askHosts")}
          </MenuItem>
        )}
        <MenuItem
          icon={SquareTerminal}
          onSelect={() =>
            void navigate({
              to: "/hosts/$id",
              params: { id: host.id },
              search: ({ range, from, to }) => ({ tab: "actions", range, from, to }),
            })
          }
        >
          {t("itsCommands")}
        </MenuItem>
        {seesAlerts && (
          <MenuItem
            icon={Bell}
            onSelect={() => void navigate({ to: "/alerts", search: { entity: host.name, status: "all" } })}
          >
            {t("itsAlerts")}
          </MenuItem>
        )}
        {seesAlerts && (
          <MenuItem
            icon={Crosshair}
            onSelect={() => void navigate({ to: "/entities/$kind/$value", params: { kind: "host", value: host.name } })}
          >
            {t("itsEntity")}
          </MenuItem>
        )}
        {hunts && host.address && (
          <MenuItem
            icon={Radar}
            onSelect={() => void navigate({ to: "/hunt", search: { filter: `ip = ${host.address}` } })}
          >
            {t("huntFlows")}
          </MenuItem>
        )}
        {asks && (
          <MenuItem
            icon={Database}
            onSelect={() => void navigate({ to: "/hunt", search: huntSql("processes", `host_id = '${host.id}'`) })}
          >
            {t("huntSql")}
          </MenuItem>
        )}
        <MenuItem
          icon={GitCompareArrows}
          onSelect={() => void navigate({ to: "/hosts/compare", search: { hosts: host.id } })}
        >
          {t("compareWith")}
        </MenuItem>
        {manage && <MenuLine />}
        {manage && host.status !== "revoked" && (
          <MenuItem icon={ShieldOff} danger onSelect={() => setAsking("revoke")}>
            {h("revoke")}
          </MenuItem>
        )}
        {manage && (
          <MenuItem icon={Trash2} danger onSelect={() => setAsking("delete")}>
            {h("delete")}
          </MenuItem>
        )}
      </Menu>
      <Give
        open={giving}
        onClose={() => setGiving(false)}
        count={1}
        hosts={() => Promise.resolve({ ids: [host.id] })}
      />
      {editing && <EditHost host={host} onClose={() => setEditing(false)} />}
      <Confirm
        open={asking === "revoke"}
        onClose={() => setAsking(null)}
        title={h("revokeTitle", { n: 1 })}
        description={h("revokeHint")}
        action={h("revokeAction")}
        danger
        onConfirm={async () => {
          await act(() => must(api.POST("/api/v1/hosts/{id}/revoke", { params })), t("revoked"));
          refresh();
        }}
      />
      <Confirm
        open={asking === "delete"}
        onClose={() => setAsking(null)}
        title={h("deleteTitle", { n: 1 })}
        description={h("deleteHint")}
        action={h("deleteAction")}
        danger
        onConfirm={async () => {
          const done = await act(
            () => must(api.DELETE("/api/v1/hosts/{id}", { params })).then(() => true),
            t("deleted"),
          );
          if (!done) return;
          await navigate({ to: "/hosts" });
          refresh();
        }}
      />
    </>
  );
}
