import { useQueryClient } from "@tanstack/react-query";
import { ChevronDown, Eye, EyeOff, FileText, UserRound } from "lucide-react";
import { useState } from "react";
import { api, must, Problem, requestHeaders, type Schema } from "@/api/client";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan, useSession } from "@/app/session";
import type { Incident, Status } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Button } from "@/ui/button";
import { Field, Select, Textarea } from "@/ui/form";
import { download } from "@/ui/grid/export";
import { Menu, MenuItem } from "@/ui/menu";
import { Dialog } from "@/ui/overlay";
import { failed } from "@/ui/toast";

export type Change = Omit<Schema<"UpdateIncident">, "version">;

/** Changes an incident as it was seen; a newer state is shown instead of being overwritten. */
export function useChange(incident: Incident) {
  const t = useText(text);
  const client = useQueryClient();
  const { busy, act } = useAction();
  const key = ["incidents", "one", String(incident.number)];
  const change = (part: Change) =>
    act(async () => {
      try {
        const next = await must(
          api.PATCH("/api/v1/incidents/{id}", {
            params: { path: { id: incident.id } },
            body: { version: incident.version, ...part },
          }),
        );
        client.setQueryData(key, next);
        void client.invalidateQueries({ queryKey: ["incidents"] });
        return next;
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") {
          if (error.current) client.setQueryData(key, error.current);
          void client.invalidateQueries({ queryKey: ["incidents"] });
          throw new Error(t("conflict", { name: t("somebody") }));
        }
        throw error;
      }
    }, t("saved"));
  return { busy, change };
}

const VERDICTS = ["true_positive", "false_positive", "benign"] as const;

function Resolve({
  target,
  onClose,
  onDecide,
}: {
  target: Status | null;
  onClose: () => void;
  onDecide: (verdict: string, resolution: string) => void;
}) {
  const t = useText(text);
  const [verdict, setVerdict] = useState<(typeof VERDICTS)[number]>("true_positive");
  const [resolution, setResolution] = useState("");
  return (
    <Dialog
      open={target !== null}
      onClose={onClose}
      title={target ? t("to", { status: t(target) }) : ""}
      footer={
        <Button look="primary" disabled={!resolution.trim()} onClick={() => onDecide(verdict, resolution)}>
          {target ? t(target) : ""}
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label={t("verdict")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("verdict")}
              value={verdict}
              onChange={setVerdict}
              options={VERDICTS.map((value) => ({ value, label: t(value) }))}
              className="w-full"
            />
          )}
        </Field>
        <Field label={t("resolution")} hint={t("resolutionHint")}>
          {(ids) => (
            <Textarea {...ids} rows={4} value={resolution} onChange={(event) => setResolution(event.target.value)} />
          )}
        </Field>
      </div>
    </Dialog>
  );
}

/** Status, owner, watching, and the report. */
export function Actions({ incident }: { incident: Incident }) {
  const t = useText(text);
  const client = useQueryClient();
  const write = useCan("incidents:write");
  const session = useSession();
  const { busy, change } = useChange(incident);
  const { act } = useAction();
  const [target, setTarget] = useState<Status | null>(null);
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
    ).then(() => client.invalidateQueries({ queryKey: ["incidents"] }));
  const report = async () => {
    try {
      const answer = await fetch(`/api/v1/incidents/${incident.id}/report?format=markdown`, {
        headers: requestHeaders(),
      });
      if (!answer.ok) throw new Problem(answer.status, await answer.json());
      download(`incident-${incident.number}.md`, [await answer.text()], "text/markdown");
    } catch (error) {
      failed(error);
    }
  };
  const go = (status: Status) => {
    if ((status === "resolved" || status === "closed") && !incident.resolution) setTarget(status);
    else void change({ status });
  };
  return (
    <div className="flex flex-wrap gap-2">
      <Button icon={FileText} onClick={() => void report()}>
        {t("report")}
      </Button>
      <Button icon={watches ? EyeOff : Eye} onClick={watch}>
        {t(watches ? "unwatch" : "watch")}
      </Button>
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
