import { ChevronDown, Eye, EyeOff, FileText, PencilLine, UserRound } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { usePaper } from "@/app/paper";
import { useText } from "@/app/preferences";
import { useCan, useSession } from "@/app/session";
import type { Incident, Status } from "@/pages/incidents/data";
import { Resolve } from "@/pages/incidents/resolve";
import { text } from "@/pages/incidents/strings";
import { Button } from "@/ui/button";
import { FileMenu } from "@/ui/grid/export-menu";
import { Menu, MenuItem } from "@/ui/menu";
import { useChange } from "./change";
import { EditIncident } from "./edit";

/** The report in each format that there is. */
function Report({ incident }: { incident: Incident }) {
  const t = useText(text);
  const paper = usePaper();
  const as = (label: string, format: string, end: string) =>
    paper({
      label,
      path: `/api/v1/incidents/${incident.id}/report`,
      query: () => ({ format }),
      file: `incident-${incident.number}.${end}`,
    });
  return (
    <FileMenu
      trigger={<Button icon={FileText}>{t("report")}</Button>}
      items={[
        as(t("reportPdf"), "pdf", "pdf"),
        as(t("reportMarkdown"), "markdown", "md"),
        as(t("reportJson"), "json", "json"),
      ]}
    />
  );
}

/** Status, owner, watching, editing, and the report. */
export function Actions({ incident }: { incident: Incident }) {
  const t = useText(text);
  const refresh = useFreshen("incidents");
  const write = useCan("incidents:write");
  const session = useSession();
  const { busy, change } = useChange(incident);
  const { act } = useAction();
  const [target, setTarget] = useState<Status | null>(null);
  const [editing, setEditing] = useState(false);
  const watches = incident.watchers.some((person) => person.id === session.user);
  const params = { path: { id: incident.id } };
  const watch = () =>
    void act(
      () =>
        must(
          watches
            ? api.DELETE("/api/v1/incidents/{id}/watch", { params })
            : api.PUT("/api/v1/incidents/{id}/watch", { params }),
        ).then(() => true),
      t("saved"),
    ).then(refresh);
  const go = (status: Status) => {
    if ((status === "resolved" || status === "closed") && !incident.resolution) setTarget(status);
    else void change({ status });
  };
  return (
    <div className="flex flex-wrap gap-2">
      <Report incident={incident} />
      <Button icon={watches ? EyeOff : Eye} onClick={watch}>
        {t(watches ? "unwatch" : "watch")}
      </Button>
      {write && (
        <Button icon={PencilLine} onClick={() => setEditing(true)}>
          {t("edit")}
        </Button>
      )}
      {write && incident.owner?.id !== session.user && (
        <Button icon={UserRound} busy={busy} onClick={() => void change({ owner: "me" })}>
          {t("takeOver")}
        </Button>
      )}
      {write && incident.next_status.length > 0 && (
        <Menu
          trigger={
            <Button look="primary" busy={busy}>
              {t("changeStatus")} <ChevronDown aria-hidden size={14} />
            </Button>
          }
        >
          {incident.next_status.map((status) => (
            <MenuItem key={status} onSelect={() => go(status as Status)}>
              {t(status as Status)}
            </MenuItem>
          ))}
        </Menu>
      )}
      <EditIncident incident={incident} open={editing} onClose={() => setEditing(false)} />
      <Resolve
        target={target}
        onClose={() => setTarget(null)}
        onDecide={(verdict, resolution) => {
          if (target) void change({ status: target, verdict, resolution });
          setTarget(null);
        }}
      />
    </div>
  );
}
