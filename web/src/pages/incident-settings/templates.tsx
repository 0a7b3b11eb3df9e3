import { useQuery } from "@tanstack/react-query";
import { PencilLine, Plus, Trash2, X } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { KINDS } from "@/pages/incidents/data";
import { text as incidents } from "@/pages/incidents/strings";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { Field, Input, Select } from "@/ui/form";
import { Confirm, Dialog } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { text } from "./strings";

type Template = Schema<"TemplateView">;
type Task = Schema<"TemplateTaskView">;

/** What is to be done in incidents of a type, to be added to one at once. */
export function Templates() {
  const t = useText(text);
  const i = useText(incidents);
  const may = useCan("incidents:configure");
  const refresh = useFreshen("incident-templates");
  const { act } = useAction();
  const [editing, setEditing] = useState<Template | "new" | null>(null);
  const [deleting, setDeleting] = useState<Template | null>(null);
  const query = useQuery({
    queryKey: ["incident-templates"],
    queryFn: () => must(api.GET("/api/v1/incident-templates")),
  });
  const remove = async () => {
    if (!deleting) return;
    const params = { path: { id: deleting.id } };
    await act(() => must(api.DELETE("/api/v1/incident-templates/{id}", { params })).then(() => true), t("deleted"));
    refresh();
  };
  return (
    <Panel
      title={t("templates")}
      aside={
        may && (
          <Button icon={Plus} onClick={() => setEditing("new")}>
            {t("add")}
          </Button>
        )
      }
    >
      <Loaded query={query} rows={4}>
        {(data) => (
          <ul className="m-0 list-none p-0">
            {data.items.map((template) => (
              <li
                key={template.id}
                className="flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line py-2 text-sm first:border-0"
              >
                <span className="min-w-0 flex-1 basis-40">
                  <span className="block font-medium">{template.name}</span>
                  <span className="block text-xs text-text-3">
                    {i(template.kind as "general")} · {t("tasks", { n: template.tasks.length })}
                  </span>
                </span>
                {template.shipped && <Badge>{t("shipped")}</Badge>}
                {may && !template.shipped && (
                  <>
                    <IconButton
                      label={`${t("edit")}: ${template.name}`}
                      icon={PencilLine}
                      className="!h-7 !w-7"
                      onClick={() => setEditing(template)}
                    />
                    <IconButton
                      label={`${t("delete")}: ${template.name}`}
                      icon={Trash2}
                      className="-mr-1.5 -ml-2 !h-7 !w-7"
                      onClick={() => setDeleting(template)}
                    />
                  </>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <Dialog
        open={editing !== null}
        onClose={() => setEditing(null)}
        title={t(editing === "new" ? "add" : "edit")}
        sheet
      >
        {editing && <Form one={editing} onClose={() => setEditing(null)} />}
      </Dialog>
      <Confirm
        open={deleting !== null}
        onClose={() => setDeleting(null)}
        title={t("deleteTitle", { name: deleting?.name ?? "" })}
        description={t("deleteHint")}
        action={t("delete")}
        danger
        onConfirm={remove}
      />
    </Panel>
  );
}

const BLANK: Task = { title: "", description: "", phase: "", due_minutes: null };

function Form({ one, onClose }: { one: Template | "new"; onClose: () => void }) {
  const t = useText(text);
  const u = useText(ui);
  const i = useText(incidents);
  const refresh = useFreshen("incident-templates");
  const { busy, act } = useAction();
  const [name, setName] = useState(one === "new" ? "" : one.name);
  const [kind, setKind] = useState<string>(one === "new" ? "general" : one.kind);
  const [tasks, setTasks] = useState<Task[]>(one === "new" ? [BLANK] : one.tasks);
  const set = (index: number, part: Partial<Task>) =>
    setTasks((before) => before.map((task, at) => (at === index ? { ...task, ...part } : task)));
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const body = { name, kind, tasks: tasks.filter((task) => task.title.trim()) };
    const saved = await act(async () => {
      if (one === "new") return must(api.POST("/api/v1/incident-templates", { body }));
      try {
        const params = { path: { id: one.id } };
        return await must(
          api.PUT("/api/v1/incident-templates/{id}", { params, body: { ...body, version: one.version } }),
        );
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict") throw new Error(t("conflict"));
        throw error;
      }
    }, t("saved"));
    refresh();
    if (saved) onClose();
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("name")}>
          {(ids) => <Input {...ids} required value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label={t("kind")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("kind")}
              value={kind}
              onChange={setKind}
              options={KINDS.map((value) => ({ value: value as string, label: i(value) }))}
              className="w-full"
            />
          )}
        </Field>
      </div>
      <ol className="m-0 flex list-none flex-col gap-3 p-0">
        {tasks.map((task, index) => (
          <li key={index} className="rounded-m border border-line p-3">
            <div className="mb-2 flex items-center justify-between text-xs font-medium text-text-3">
              {t("task", { n: index + 1 })}
              <IconButton
                label={t("removeTask", { n: index + 1 })}
                icon={X}
                size={14}
                className="!h-6 !w-6"
                onClick={() => setTasks(tasks.filter((_, at) => at !== index))}
              />
            </div>
            <div className="grid gap-2 sm:grid-cols-[1fr_120px_120px]">
              <Input
                aria-label={`${t("taskTitle")} ${index + 1}`}
                placeholder={t("taskTitle")}
                value={task.title}
                onChange={(event) => set(index, { title: event.target.value })}
              />
              <Input
                aria-label={`${t("phase")} ${index + 1}`}
                placeholder={t("phase")}
                value={task.phase ?? ""}
                onChange={(event) => set(index, { phase: event.target.value })}
              />
              <Input
                type="number"
                min={1}
                aria-label={`${t("due")} ${index + 1}`}
                placeholder={t("due")}
                value={task.due_minutes ?? ""}
                onChange={(event) =>
                  set(index, { due_minutes: event.target.value ? Number(event.target.value) : null })
                }
              />
            </div>
            <Input
              aria-label={`${t("description")} ${index + 1}`}
              placeholder={t("description")}
              className="mt-2"
              value={task.description ?? ""}
              onChange={(event) => set(index, { description: event.target.value })}
            />
          </li>
        ))}
      </ol>
      <div className="flex justify-between gap-2">
        <Button icon={Plus} onClick={() => setTasks([...tasks, BLANK])}>
          {t("addTask")}
        </Button>
        <Button type="submit" look="primary" busy={busy} disabled={!name.trim()}>
          {u("save")}
        </Button>
      </div>
    </form>
  );
}
