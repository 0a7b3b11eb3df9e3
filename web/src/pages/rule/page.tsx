import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft, CircleAlert, CircleCheck, Save, Trash2, TriangleAlert } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { tablesQuery } from "@/pages/hunt/data";
import { MatchedRows } from "@/pages/rules/columns";
import { type Rule, useSwitchRule } from "@/pages/rules/data";
import { text } from "@/pages/rules/strings";
import { Badge, SeverityMark } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Editor } from "@/ui/editor/editor";
import { yamlLanguage } from "@/ui/editor/yaml";
import { Field, Input, Switch } from "@/ui/form";
import { Confirm } from "@/ui/overlay";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Tabs } from "@/ui/tabs";
import { done, failed } from "@/ui/toast";
import { sigmaCompletion, sigmaMeanings } from "./complete";
import { Exceptions } from "./exceptions";
import { Fixture } from "./fixture";
import { History } from "./history";
import { diagnostics, useValidation, type Validation } from "./validation";
import { Versions } from "./versions";

const START = (id: string) => `title: Telnet to a server
id: ${id}
status: experimental
description: Somebody inside speaks telnet, which sends passwords in the clear.
logsource:
  category: network_connection
detection:
  selection:
    dst_port: 23
    protocol: 6
  condition: selection
level: medium
tags:
  - attack.t1040
`;

const TABS = ["text", "exceptions", "versions"] as const;

export default function RulePage() {
  const { id } = useParams({ from: "/inside/rules/$id" });
  const { source } = useSearch({ from: "/inside/rules/$id" });
  const [fresh] = useState(() => source ?? START(crypto.randomUUID()));
  const query = useQuery({
    queryKey: ["rules", "one", id],
    queryFn: () => must(api.GET("/api/v1/rules/{id}", { params: { path: { id } } })),
    enabled: id !== "new",
  });
  if (id === "new") return <RuleEditor key="new" rule={null} stored={fresh} />;
  return <Loaded query={query}>{(rule) => <RuleEditor key={rule.id} rule={rule} stored={rule.source ?? ""} />}</Loaded>;
}

function Check({ validation }: { validation: Validation | null }) {
  const t = useText(text);
  if (!validation) return null;
  return (
    <Panel title={t("check")}>
      <div
        className={`flex items-center gap-2 text-sm font-medium ${validation.valid ? "text-good" : "text-critical"}`}
        role="status"
      >
        {validation.valid ? <CircleCheck aria-hidden size={16} /> : <CircleAlert aria-hidden size={16} />}
        {t(validation.valid ? "valid" : "invalid")}
      </div>
      {validation.issues.length > 0 && (
        <ul className="m-0 mt-3 flex list-none flex-col gap-2.5 p-0 text-sm">
          {validation.issues.map((issue) => (
            <li key={`${issue.line}-${issue.message}`} className="flex gap-2">
              {issue.level === "error" ? (
                <CircleAlert aria-hidden size={15} className="mt-0.5 shrink-0 text-critical" />
              ) : (
                <TriangleAlert aria-hidden size={15} className="mt-0.5 shrink-0 text-medium" />
              )}
              <span>
                <span className="num text-text-3">{t("line", { line: issue.line })}: </span>
                {issue.message}
                {issue.help && <span className="block text-text-2">{issue.help}</span>}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Activity({ rule }: { rule: Rule }) {
  const t = useText(text);
  const format = useFormat();
  const number = (value: number) => <span className="num">{format.number(value)}</span>;
  return (
    <Panel title={t("activity")}>
      <Facts
        items={[
          [t("matched"), <MatchedRows key="m" rule={rule} />],
          [t("fired"), number(rule.fired)],
          [t("version"), number(rule.version)],
          [
            "ID",
            <span key="i" className="mono break-all text-text-2">
              {rule.id}
            </span>,
          ],
        ]}
      />
      <Link
        to="/alerts"
        search={{ rule: rule.id, status: "all" }}
        className="mt-3 inline-block text-sm font-medium text-accent no-underline hover:underline"
      >
        {t("seeAlerts")}
      </Link>
    </Panel>
  );
}

function RuleEditor({ rule, stored }: { rule: Rule | null; stored: string }) {
  const t = useText(text);
  const { tab } = useSearch({ from: "/inside/rules/$id" });
  const navigate = useNavigate();
  const client = useQueryClient();
  const write = useCan("rules:write");
  const mayTest = useCan("rules:test");
  const tables = useQuery(tablesQuery);
  const [source, setSource] = useState(stored);
  const [base, setBase] = useState(stored);
  if (base !== stored) {
    // A newer version came. A text that was not touched follows; one that was is this person's.
    setBase(stored);
    if (source === base) setSource(stored);
  }
  const [comment, setComment] = useState("");
  const [deleting, setDeleting] = useState(false);
  const validation = useValidation(source);
  const marks = useMemo(() => diagnostics(source, validation), [source, validation]);
  const complete = useMemo(() => sigmaCompletion(tables.data ?? []), [tables.data]);
  const meanings = useMemo(() => sigmaMeanings(tables.data ?? []), [tables.data]);
  const { mutate: switchRule } = useSwitchRule();
  const changed = source !== stored;
  const save = useMutation({
    mutationFn: () => must(api.POST("/api/v1/rules", { body: { source, comment } })),
    onSuccess: (next) => {
      setComment("");
      client.setQueryData(["rules", "one", next.id], { ...next, source });
      void client.invalidateQueries({ queryKey: ["rules"] });
      done(t("saved"));
      void navigate({ to: "/rules/$id", params: { id: next.id }, replace: true });
    },
    onError: failed,
  });
  const remove = async () => {
    if (!rule) return;
    try {
      await must(api.DELETE("/api/v1/rules/{id}", { params: { path: { id: rule.id } } }));
      void client.invalidateQueries({ queryKey: ["rules"] });
      done(t("deleted"));
      await navigate({ to: "/rules" });
    } catch (error) {
      failed(error);
    }
  };
  const current = TABS.find((known) => known === tab) ?? "text";
  const saveable = write && (changed || !rule) && validation?.valid === true;
  return (
    <div className="flex min-h-full flex-col px-4 pb-6 md:px-6">
      <Link
        to="/rules"
        className="mt-4 inline-flex items-center gap-1.5 self-start text-sm text-text-3 no-underline hover:text-text"
      >
        <ArrowLeft aria-hidden size={14} /> {t("back")}
      </Link>
      <header className="flex flex-wrap items-center gap-x-4 gap-y-3 pb-4 pt-2">
        <div className="min-w-0 flex-1 basis-80">
          <h1 className="m-0 text-xl font-semibold tracking-[-0.012em]">{rule?.title ?? t("newRule")}</h1>
          {rule && (
            <div className="mt-1.5 flex items-center gap-3">
              <SeverityMark severity={rule.severity} />
              <Badge tone={rule.origin === "custom" ? "accent" : "neutral"}>
                {t(rule.origin === "custom" ? "custom" : "shipped")}
              </Badge>
              {changed && <Badge tone="medium">{t("unsaved")}</Badge>}
            </div>
          )}
        </div>
        {rule && write && (
          <span className="flex items-center gap-2 text-sm text-text-2">
            {t(rule.enabled ? "enabled" : "disabled")}
            <Switch
              label={t(rule.enabled ? "stop" : "run")}
              checked={rule.enabled}
              onChange={(enabled) => switchRule({ rule, enabled })}
            />
          </span>
        )}
        {rule?.origin === "custom" && write && (
          <Button look="danger" icon={Trash2} onClick={() => setDeleting(true)}>
            {t("delete")}
          </Button>
        )}
        {write && (
          <Button look="primary" icon={Save} disabled={!saveable} busy={save.isPending} onClick={() => save.mutate()}>
            {t(rule ? "saveNew" : "save")}
          </Button>
        )}
      </header>
      {rule && (
        <div className="-mx-4 mb-4 md:-mx-6">
          <Tabs
            label={t("tabs")}
            value={current}
            onChange={(next) =>
              void navigate({
                to: "/rules/$id",
                params: { id: rule.id },
                search: next === "text" ? {} : { tab: next },
                replace: true,
              })
            }
            tabs={[
              { value: "text", label: t("tabText") },
              { value: "exceptions", label: t("exceptions"), count: rule.exceptions },
              { value: "versions", label: t("versions") },
            ]}
          />
        </div>
      )}
      {rule && current === "exceptions" && <Exceptions rule={rule.id} />}
      {rule && current === "versions" && <Versions rule={rule.id} />}
      {current === "text" && (
        <div className="grid flex-1 gap-4 lg:grid-cols-[minmax(0,1fr)_360px]">
          <div className="flex min-w-0 flex-col gap-3">
            {(!write || (rule?.origin === "shipped" && changed)) && (
              <p className="m-0 text-sm text-text-2">{t(write ? "shippedHint" : "readOnly")}</p>
            )}
            <Editor
              value={source}
              onChange={setSource}
              label={t("editor")}
              language={yamlLanguage}
              complete={complete}
              meanings={meanings}
              diagnostics={marks}
              readOnly={!write}
              onRun={() => saveable && save.mutate()}
              className="panel h-[min(640px,calc(100dvh-260px))] min-h-80 overflow-hidden !rounded-box"
            />
            {write && rule && changed && (
              <Field label={t("comment")}>
                {(ids) => <Input {...ids} value={comment} onChange={(event) => setComment(event.target.value)} />}
              </Field>
            )}
            {mayTest && <Fixture source={source} valid={validation?.valid === true} shipped={rule?.fixtures ?? []} />}
            {mayTest && <History source={source} valid={validation?.valid === true} />}
          </div>
          <div className="flex min-w-0 flex-col gap-4">
            <Check validation={validation} />
            {rule && <Activity rule={rule} />}
          </div>
        </div>
      )}
      <Confirm
        open={deleting}
        onClose={() => setDeleting(false)}
        title={t("deleteTitle")}
        description={t("deleteHint")}
        action={t("delete")}
        danger
        onConfirm={remove}
      />
    </div>
  );
}
