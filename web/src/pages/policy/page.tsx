import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft, CircleAlert, CircleCheck } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must, Problem } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { groupsQuery } from "@/pages/groups/data";
import {
  defaultsQuery,
  orderQuery,
  type Policy,
  policyQuery,
  readDocument,
  textOfDocument,
} from "@/pages/policies/data";
import { text } from "@/pages/policies/strings";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Editor } from "@/ui/editor/editor";
import { yamlLanguage } from "@/ui/editor/yaml";
import { Field, Input } from "@/ui/form";
import { Confirm } from "@/ui/overlay";
import { Facts, Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { Tabs } from "@/ui/tabs";
import { At } from "@/ui/time";
import { Scheduled } from "./scheduled";
import { Versions } from "./versions";

/** One policy: its text, its versions, whom it holds for. */
export default function PolicyPage() {
  const { id } = useParams({ from: "/inside/policies/$id" });
  const query = useQuery({ ...policyQuery(id), enabled: id !== "new" });
  if (id === "new") return <Known key="new" policy={null} />;
  return (
    <Loaded query={query} rows={10}>
      {(policy) => <Known key={policy.id} policy={policy} />}
    </Loaded>
  );
}

function Known({ policy }: { policy: Policy | null }) {
  const t = useText(text);
  const navigate = useNavigate();
  const { tab = "text" } = useSearch({ from: "/inside/policies/$id" });
  const write = useCan("policies:write");
  const refresh = useFreshen("policies", "hosts");
  const { busy, act } = useAction();
  const stored = policy ? textOfDocument(policy.document) : "{}\n";
  const [version, setVersion] = useState(policy?.version);
  const [source, setSource] = useState(stored);
  const [name, setName] = useState(policy?.name ?? "");
  const [description, setDescription] = useState(policy?.description ?? "");
  const [comment, setComment] = useState("");
  const [issues, setIssues] = useState<readonly string[]>(policy?.issues ?? []);
  const [deleting, setDeleting] = useState(false);
  const read = useMemo(() => readDocument(source), [source]);
  const changed = source !== stored || name !== (policy?.name ?? "") || description !== (policy?.description ?? "");
  const rewrite = (next: string) => {
    setSource(next);
    setIssues([]);
  };
  const save = async () => {
    if (!("document" in read)) return;
    const body = { name, description, document: read.document, ...(comment ? { comment } : {}) };
    const saved = await act(async () => {
      try {
        if (!policy) return await must(api.POST("/api/v1/policies", { body }));
        const params = { path: { id: policy.id } };
        return await must(api.PUT("/api/v1/policies/{id}", { params, body: { ...body, version: version ?? 0 } }));
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") {
          setVersion((error.current as Policy).version);
          throw new Error(t("conflict"));
        }
        if (error instanceof Problem && error.issues.length > 0) setIssues(error.issues.map(String));
        throw error;
      }
    }, t("saved"));
    if (!saved) return;
    setVersion(saved.version);
    setSource(textOfDocument(saved.document));
    setComment("");
    refresh();
    if (!policy) await navigate({ to: "/policies/$id", params: { id: saved.id }, replace: true });
  };
  return (
    <div className="flex min-h-full flex-col pb-6">
      <div className="px-4 md:px-6">
        <Link
          to="/policies"
          className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
        >
          <ArrowLeft aria-hidden size={14} /> {t("back")}
        </Link>
        <header className="flex flex-wrap items-center gap-x-4 gap-y-3 pb-3 pt-1">
          <div className="min-w-0 flex-1 basis-80">
            <h1 className="m-0 truncate text-xl font-semibold tracking-[-0.012em]">{policy?.name ?? t("newPolicy")}</h1>
            <div className="mt-1.5 flex items-center gap-3 text-sm text-text-3">
              {policy && <span>{t("number", { version: policy.version })}</span>}
              {changed && policy && <Badge tone="medium">{t("unsaved")}</Badge>}
            </div>
          </div>
          {policy && write && <Button onClick={() => setDeleting(true)}>{t("delete")}</Button>}
        </header>
      </div>
      {policy && (
        <Tabs
          label={t("parts")}
          value={tab}
          onChange={(next) =>
            void navigate({ to: ".", search: next === "versions" ? { tab: next } : {}, replace: true })
          }
          tabs={[
            { value: "text", label: t("text") },
            { value: "versions", label: t("versions"), count: policy.version },
          ]}
        />
      )}
      {tab === "versions" && policy ? (
        <Versions
          policy={policy}
          onTake={(document) => {
            rewrite(textOfDocument(document));
            void navigate({ to: ".", search: {}, replace: true });
          }}
        />
      ) : (
        <div className="grid items-start gap-4 px-4 pt-4 md:px-6 lg:grid-cols-[minmax(0,1fr)_340px]">
          <div className="flex min-w-0 flex-col gap-4">
            <div className="grid gap-4 sm:grid-cols-2">
              <Field label={t("name")}>
                {(ids) => (
                  <Input {...ids} disabled={!write} value={name} onChange={(event) => setName(event.target.value)} />
                )}
              </Field>
              <Field label={t("description")}>
                {(ids) => (
                  <Input
                    {...ids}
                    disabled={!write}
                    value={description}
                    onChange={(event) => setDescription(event.target.value)}
                  />
                )}
              </Field>
            </div>
            <div className="panel h-[440px] overflow-hidden">
              <Editor
                className="h-full"
                label={t("document")}
                value={source}
                onChange={rewrite}
                language={yamlLanguage}
                readOnly={!write}
                onRun={() => void save()}
              />
            </div>
            {write && (
              <div className="flex flex-wrap items-end gap-3">
                <div className="min-w-0 flex-1 basis-60">
                  <Field label={t("comment")}>
                    {(ids) => <Input {...ids} value={comment} onChange={(event) => setComment(event.target.value)} />}
                  </Field>
                </div>
                <Button
                  look="primary"
                  busy={busy}
                  disabled={!("document" in read) || name.trim() === "" || (policy !== null && !changed)}
                  onClick={() => void save()}
                >
                  {t("save")}
                </Button>
              </div>
            )}
          </div>
          <div className="flex min-w-0 flex-col gap-4">
            <Check why={"why" in read ? read.why : null} issues={issues} />
            {policy && <Holds policy={policy} />}
            <Scheduled document={"document" in read ? read.document : policy?.document} />
            <Defaults onUse={write ? (document) => rewrite(textOfDocument(document)) : null} />
          </div>
        </div>
      )}
      <Confirm
        open={deleting}
        onClose={() => setDeleting(false)}
        title={t("deleteTitle", { name: policy?.name ?? "" })}
        description={t("deleteHint")}
        action={t("deleteAction")}
        danger
        onConfirm={async () => {
          if (!policy) return;
          const params = { path: { id: policy.id } };
          const gone = await act(
            () => must(api.DELETE("/api/v1/policies/{id}", { params })).then(() => true),
            t("deleted"),
          );
          if (!gone) return;
          await navigate({ to: "/policies" });
          refresh();
        }}
      />
    </div>
  );
}

/** Whether the text can be saved: JSON is read here while it is written, the rest is the server's word. */
function Check({ why, issues }: { why: string | null; issues: readonly string[] }) {
  const t = useText(text);
  const good = why === null && issues.length === 0;
  return (
    <Panel title={t("check")}>
      <div role="status" className="text-sm">
        <div className={`flex items-start gap-2 ${good ? "text-good" : "text-critical"}`}>
          {good ? (
            <CircleCheck aria-hidden size={16} className="mt-0.5 shrink-0" />
          ) : (
            <CircleAlert aria-hidden size={16} className="mt-0.5 shrink-0" />
          )}
          <span className="min-w-0 break-words">
            {why !== null ? t("notJson", { why }) : issues.length > 0 ? t("refused") : t("valid")}
          </span>
        </div>
        {issues.length > 0 && (
          <ul className="m-0 mt-2 flex flex-col gap-1.5 pl-5">
            {issues.map((issue) => (
              <li key={issue} className="break-words">
                {issue}
              </li>
            ))}
          </ul>
        )}
      </div>
    </Panel>
  );
}

function Holds({ policy }: { policy: Policy }) {
  const t = useText(text);
  const order = useQuery(orderQuery);
  const groups = useQuery(groupsQuery);
  const items = order.data?.items.filter((item) => item.policy === policy.id) ?? [];
  return (
    <Panel
      title={t("holdsFor")}
      aside={
        <Link to="/policies" search={{ view: "order" }} className="text-xs text-accent no-underline hover:underline">
          {t("orderShort")}
        </Link>
      }
    >
      {items.length === 0 ? (
        <p className="m-0 text-sm text-text-3">{t("nobody")}</p>
      ) : (
        <ul className="m-0 flex list-none flex-col gap-1 p-0 text-sm">
          {items.map((item) => {
            const group = groups.data?.items.find((one) => one.id === item.group);
            return (
              <li key={item.group ?? ""} className="flex justify-between gap-3">
                {item.group ? (
                  <Link
                    to="/hosts"
                    search={{ group: group?.name ?? "" }}
                    className="truncate text-accent no-underline hover:underline"
                  >
                    {group?.name ?? "…"}
                  </Link>
                ) : (
                  t("everyHost")
                )}
                {group && <span className="num text-text-3">{group.hosts}</span>}
              </li>
            );
          })}
        </ul>
      )}
      <div className="mt-3">
        <Facts
          items={[
            [t("author"), policy.author],
            [t("updated"), <At key="u" time={policy.updated} />],
          ]}
        />
      </div>
    </Panel>
  );
}

function Defaults({ onUse }: { onUse: ((document: unknown) => void) | null }) {
  const t = useText(text);
  const query = useQuery(defaultsQuery);
  const block =
    "mono m-0 mt-2 max-h-72 overflow-auto whitespace-pre rounded-m border border-line bg-sunken px-3 py-2 text-xs";
  return (
    <Panel title={t("defaults")}>
      <p className="m-0 text-xs text-text-3">{t("defaultsHint")}</p>
      <Loaded query={query} rows={4}>
        {(data) => (
          <>
            <section aria-label={t("defaults")} tabIndex={0} className={block}>
              {textOfDocument(data.document)}
            </section>
            <div className="mt-3 flex items-center justify-between gap-3 text-sm font-medium">
              {t("example")}
              {onUse && (
                <Button className="!h-7" onClick={() => onUse(data.example)}>
                  {t("useExample")}
                </Button>
              )}
            </div>
            <section aria-label={t("example")} tabIndex={0} className={block}>
              {textOfDocument(data.example)}
            </section>
          </>
        )}
      </Loaded>
    </Panel>
  );
}
