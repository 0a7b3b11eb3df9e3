import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useMemo, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { tablesQuery } from "@/pages/hunt/data";
import { text } from "@/pages/rules/strings";
import { Button } from "@/ui/button";
import { Editor } from "@/ui/editor/editor";
import { filterCompletion, filterLanguage } from "@/ui/editor/filter-language";
import { Field, Textarea } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { text as ui } from "@/ui/strings";
import { When } from "@/ui/when";

type Exception = Schema<"ExceptionView">;

/** A filter that a proposal offers, and how much of the alert it covers. */
export type Proposal = Schema<"ProposalView">;

/** Makes an exception of a rule, or changes one as it was seen. */
export function ExceptionDialog({
  rule,
  one,
  onClose,
  proposals = [],
}: {
  rule: string;
  one: Exception | "new" | null;
  onClose: () => void;
  proposals?: readonly Proposal[];
}) {
  const t = useText(text);
  return (
    <Dialog
      open={one !== null}
      onClose={onClose}
      title={t(one === "new" ? "exceptionAdd" : "exceptionEdit")}
      description={t("exceptionsHint")}
      wide
    >
      {one && <Form rule={rule} one={one} proposals={proposals} onClose={onClose} />}
    </Dialog>
  );
}

function Form({
  rule,
  one,
  proposals,
  onClose,
}: {
  rule: string;
  one: Exception | "new";
  proposals: readonly Proposal[];
  onClose: () => void;
}) {
  const t = useText(text);
  const u = useText(ui);
  const refresh = useFreshen("rules");
  const { busy, act } = useAction();
  const tables = useQuery(tablesQuery);
  const [filter, setFilter] = useState(one === "new" ? (proposals[0]?.filter ?? "") : one.filter);
  const [reason, setReason] = useState(one === "new" ? "" : one.reason);
  const [expires, setExpires] = useState(one === "new" ? null : (one.expires ?? null));
  const flows = tables.data?.find((table) => table.name === "flows");
  const complete = useMemo(() => filterCompletion(flows), [flows]);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const saved = await act(async () => {
      const body = { filter, reason, expires };
      if (one === "new") {
        return must(
          api.POST("/api/v1/rules/{id}/exceptions", {
            params: { path: { id: rule } },
            body: { ...body, enabled: true },
          }),
        );
      }
      try {
        const params = { path: { exception: one.id } };
        return await must(
          api.PATCH("/api/v1/rules/exceptions/{exception}", {
            params,
            body: { ...body, enabled: one.enabled, version: one.version },
          }),
        );
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") throw new Error(t("exceptionConflict"));
        throw error;
      }
    }, t("exceptionSaved"));
    refresh();
    if (saved) onClose();
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      {proposals.length > 0 && (
        <fieldset className="m-0 border-0 p-0">
          <legend className="mb-1.5 p-0 text-sm font-medium">{t("exceptionProposals")}</legend>
          <div className="flex flex-col gap-1.5">
            {proposals.map((proposal) => (
              <label
                key={proposal.filter}
                className="flex cursor-pointer items-start gap-2.5 rounded-m border border-line px-3 py-2 text-sm hover:bg-hover has-[:checked]:border-accent has-[:checked]:bg-accent-soft"
              >
                <input
                  type="radio"
                  name="proposal"
                  checked={filter === proposal.filter}
                  onChange={() => setFilter(proposal.filter)}
                  className="mt-1 accent-(--accent)"
                />
                <code className="mono min-w-0 flex-1 break-all">{proposal.filter}</code>
                <span className="num shrink-0 text-xs text-text-2">{t("exceptionRows", { n: proposal.rows })}</span>
              </label>
            ))}
          </div>
        </fieldset>
      )}
      <div className="flex flex-col gap-1.5">
        <span className="text-sm font-medium">{t("exceptionFilter")}</span>
        <Editor
          value={filter}
          onChange={setFilter}
          label={t("exceptionFilter")}
          language={filterLanguage}
          complete={complete}
          single
          className="h-9 overflow-hidden rounded-m border border-line-strong focus-within:border-accent"
        />
        <span className="text-xs text-text-3">
          {t("exceptionExample")} <code className="mono">src_ip = 10.20.0.52 and dst_port = 443</code>
        </span>
      </div>
      <Field label={t("exceptionReason")}>
        {(ids) => <Textarea {...ids} required value={reason} onChange={(event) => setReason(event.target.value)} />}
      </Field>
      <Field label={t("exceptionUntil")} hint={t("exceptionUntilHint")}>
        {(ids) => <When {...ids} value={expires} onChange={setExpires} />}
      </Field>
      <Button type="submit" look="primary" busy={busy} disabled={!filter.trim() || !reason.trim()} className="self-end">
        {u("save")}
      </Button>
    </form>
  );
}
