import { useQuery } from "@tanstack/react-query";
import { Download, ShieldCheck, Trash2, Upload, Waypoints } from "lucide-react";
import { useRef, useState } from "react";
import { api, must, Problem, requestHeaders, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { fetchFile } from "@/app/fetch-file";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Field, Input } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { Ago, At } from "@/ui/time";
import { done } from "@/ui/toast";
import { Nothing } from "./nothing";

type File_ = Schema<"EvidenceFileView">;

/** Files, each with its hash and its custody. */
export function EvidenceFiles({ incident }: { incident: Incident }) {
  const t = useText(text);
  const format = useFormat();
  const write = useCan("incidents:write");
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const picker = useRef<HTMLInputElement>(null);
  const [custody, setCustody] = useState<File_ | null>(null);
  const [removing, setRemoving] = useState<File_ | null>(null);
  const path = { id: incident.id };
  const query = useQuery({
    queryKey: ["incidents", "evidence", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/evidence", { params: { path } })),
  });
  const upload = (file: File) =>
    void act(async () => {
      const url = `/api/v1/incidents/${incident.id}/evidence?name=${encodeURIComponent(file.name)}`;
      const type = file.type || "application/octet-stream";
      const headers = { ...requestHeaders(), "content-type": type };
      const answer = await fetch(url, { method: "POST", body: file, headers });
      if (!answer.ok) throw new Problem(answer.status, await answer.json());
      return true;
    }, t("uploaded")).then(refresh);
  const verify = async (file: File_) => {
    const params = { path: { ...path, evidence: file.id } };
    const answer = await act(() => must(api.POST("/api/v1/incidents/{id}/evidence/{evidence}/verify", { params })));
    if (answer) done(t(answer.intact ? "intact" : "damaged", { name: file.name }));
    refresh();
  };
  const keep = (file: File_) => {
    const url = `/api/v1/incidents/${incident.id}/evidence/${file.id}/content`;
    void act(() => fetchFile(url, file.name)).then(refresh);
  };
  return (
    <Panel
      title={t("evidence")}
      aside={
        write && (
          <>
            <input
              ref={picker}
              type="file"
              hidden
              aria-label={t("upload")}
              onChange={(event) => {
                if (event.target.files?.[0]) upload(event.target.files[0]);
                event.target.value = "";
              }}
            />
            <Button icon={Upload} busy={busy} onClick={() => picker.current?.click()}>
              {t("upload")}
            </Button>
          </>
        )
      }
    >
      <Loaded query={query} rows={3}>
        {(data) => (
          <ul className="m-0 list-none p-0">
            {data.items.length === 0 && (
              <li>
                <Nothing>{t("noEvidence")}</Nothing>
              </li>
            )}
            {data.items.map((file) => (
              <li key={file.id} className="border-t border-line py-2.5 text-sm first:border-0">
                <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
                  <span className="min-w-0 flex-1 break-words font-medium max-sm:basis-full sm:truncate">
                    {file.name}
                  </span>
                  <span className="num text-xs text-text-3">{format.bytes(file.size)}</span>
                  <span className="-mr-2 flex max-sm:ml-auto">
                    {!file.removed && (
                      <>
                        <IconButton
                          label={`${t("verify")}: ${file.name}`}
                          icon={ShieldCheck}
                          onClick={() => void verify(file)}
                        />
                        <IconButton
                          label={`${t("download")}: ${file.name}`}
                          icon={Download}
                          onClick={() => keep(file)}
                        />
                      </>
                    )}
                    <IconButton
                      label={t("custodyOf", { name: file.name })}
                      icon={Waypoints}
                      onClick={() => setCustody(file)}
                    />
                    {write && !file.removed && (
                      <IconButton
                        label={`${t("removeFile")}: ${file.name}`}
                        icon={Trash2}
                        onClick={() => setRemoving(file)}
                      />
                    )}
                  </span>
                </div>
                {file.description && <div className="break-words text-text-2">{file.description}</div>}
                <div className="mt-0.5 flex flex-wrap gap-x-3 text-xs text-text-3">
                  <span>
                    {t("addedBy", { by: file.added_by })} · <Ago time={file.added} />
                  </span>
                  <span className="mono min-w-0 truncate" title={`SHA-256 ${file.sha256}`}>
                    {file.sha256}
                  </span>
                </div>
                {file.removed && (
                  <div className="mt-1">
                    <Badge tone="medium">{t("fileRemoved", { reason: file.removed_reason ?? "" })}</Badge>
                  </div>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <Dialog
        open={custody !== null}
        onClose={() => setCustody(null)}
        title={t("custody")}
        description={custody?.name}
        wide
      >
        {custody && <Custody incident={incident} file={custody} />}
      </Dialog>
      <Dialog
        open={removing !== null}
        onClose={() => setRemoving(null)}
        title={t("removeFile")}
        description={t("removeFileHint")}
      >
        {removing && <Remove incident={incident} file={removing} onClose={() => setRemoving(null)} />}
      </Dialog>
    </Panel>
  );
}

type Custody_ = Schema<"CustodyView">;
const ACTIONS = ["received", "downloaded", "verified", "removed"] as const;

/** Who had a file in hand, and that it was the same each time. */
function Custody({ incident, file }: { incident: Incident; file: File_ }) {
  const t = useText(text);
  const params = { path: { id: incident.id, evidence: file.id } };
  const query = useQuery({
    queryKey: ["incidents", "custody", file.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/evidence/{evidence}", { params })),
  });
  const action = (one: Custody_) => {
    const known = ACTIONS.find((name) => name === one.action);
    return known ? t(`custody_${known}`) : one.action;
  };
  return (
    <Loaded query={query} rows={3}>
      {(data) => (
        <Table
          label={t("custodyOf", { name: file.name })}
          rows={(data.custody ?? []) as Custody_[]}
          rowId={(_, index) => String(index)}
          heads={[
            { id: "time", label: t("eventTime"), cell: (one) => <At time={one.time} /> },
            { id: "what", label: t("status"), cell: action },
            { id: "who", label: t("owner"), cell: (one) => one.actor },
            {
              id: "hash",
              label: "SHA-256",
              cell: (one) => <span className="mono text-text-3">{one.sha256.slice(0, 16)}…</span>,
            },
            { id: "detail", label: t("note"), cell: (one) => one.detail },
          ]}
        />
      )}
    </Loaded>
  );
}

function Remove({ incident, file, onClose }: { incident: Incident; file: File_; onClose: () => void }) {
  const t = useText(text);
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const [reason, setReason] = useState("");
  const remove = async () => {
    const params = { path: { id: incident.id, evidence: file.id }, query: { reason } };
    const gone = await act(
      () => must(api.DELETE("/api/v1/incidents/{id}/evidence/{evidence}", { params })).then(() => true),
      t("deleted"),
    );
    refresh();
    if (gone) onClose();
  };
  return (
    <div className="flex flex-col gap-4">
      <Field label={t("reason")}>
        {(ids) => <Input {...ids} autoFocus value={reason} onChange={(event) => setReason(event.target.value)} />}
      </Field>
      <Button look="danger" busy={busy} disabled={!reason.trim()} className="self-end" onClick={() => void remove()}>
        {t("removeFile")}
      </Button>
    </div>
  );
}
