import { useQuery } from "@tanstack/react-query";
import { ArrowDown, ArrowUp, PencilLine } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api, must, Problem, type Schema } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { peopleQuery } from "@/app/people";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import type { Incident } from "@/pages/incidents/data";
import { text } from "@/pages/incidents/strings";
import { Badge } from "@/ui/badge";
import { Button, IconButton } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Field, Input, Select, Textarea } from "@/ui/form";
import { Markdown } from "@/ui/markdown";
import { Menu, MenuItem } from "@/ui/menu";
import { Dialog } from "@/ui/overlay";
import { Panel } from "@/ui/panel";
import { Loaded } from "@/ui/state";
import { text as ui } from "@/ui/strings";
import { useNow } from "@/ui/time";
import { When } from "@/ui/when";
import { Nothing } from "./nothing";

type Task = Schema<"TaskView">;
const STATUSES = ["open", "in_progress", "done", "skipped"] as const;

/** Changes and removes the tasks of an incident. A task that somebody changed meanwhile is shown, not overwritten. */
function useTask(incident: Incident) {
  const t = useText(text);
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const params = (task: Task) => ({ path: { id: incident.id, task: task.id } });
  const change = async (task: Task, part: Omit<Schema<"UpdateTask">, "version">) => {
    const changed = await act(async () => {
      try {
        return await must(
          api.PATCH("/api/v1/incidents/{id}/tasks/{task}", {
            params: params(task),
            body: { version: task.version, ...part },
          }),
        );
      } catch (error) {
        if (error instanceof Problem && error.kind === "version-conflict")
          throw new Error(t("conflict", { name: t("somebody") }));
        throw error;
      }
    });
    refresh();
    return changed;
  };
  const remove = async (task: Task) => {
    const gone = await act(
      () => must(api.DELETE("/api/v1/incidents/{id}/tasks/{task}", { params: params(task) })).then(() => true),
      t("deleted"),
    );
    refresh();
    return gone;
  };
  /** Two tasks trade places. */
  const swap = async (task: Task, other: Task | undefined) => {
    if (other && (await change(task, { position: other.position }))) await change(other, { position: task.position });
  };
  return { busy, change, remove, swap };
}

/** What is to be done, by hand or from a template. */
export function Tasks({ incident }: { incident: Incident }) {
  const t = useText(text);
  const write = useCan("incidents:write");
  const [editing, setEditing] = useState<Task | null>(null);
  const query = useQuery({
    queryKey: ["incidents", "tasks", incident.id],
    queryFn: () => must(api.GET("/api/v1/incidents/{id}/tasks", { params: { path: { id: incident.id } } })),
  });
  return (
    <Panel
      title={t("tasks")}
      aside={
        <span className="num text-xs text-text-3">{`${incident.counts.tasks_done}/${incident.counts.tasks}`}</span>
      }
    >
      <Loaded query={query} rows={3}>
        {(data) => (
          <ol className="m-0 list-none p-0">
            {data.items.length === 0 && (
              <li>
                <Nothing>{t("noTasks")}</Nothing>
              </li>
            )}
            {data.items.map((task, index) => (
              <Line
                key={task.id}
                incident={incident}
                task={task}
                before={data.items[index - 1]}
                after={data.items[index + 1]}
                onEdit={() => setEditing(task)}
              />
            ))}
          </ol>
        )}
      </Loaded>
      {write && <Add incident={incident} />}
      <Dialog open={editing !== null} onClose={() => setEditing(null)} title={t("taskEdit")}>
        {editing && <Edit key={editing.id} incident={incident} task={editing} onClose={() => setEditing(null)} />}
      </Dialog>
    </Panel>
  );
}

function Line({
  incident,
  task,
  before,
  after,
  onEdit,
}: {
  incident: Incident;
  task: Task;
  before: Task | undefined;
  after: Task | undefined;
  onEdit: () => void;
}) {
  const t = useText(text);
  const u = useText(ui);
  const format = useFormat();
  const now = useNow();
  const write = useCan("incidents:write");
  const { change, swap } = useTask(incident);
  const status = STATUSES.find((known) => known === task.status) ?? "open";
  const finished = status === "done" || status === "skipped";
  const late = !finished && task.due && Date.parse(task.due) < now;
  return (
    <li className="flex flex-wrap items-start gap-x-3 gap-y-1 border-t border-line py-2 text-sm first:border-0">
      <Select
        label={t("taskStatus", { title: task.title })}
        value={status}
        disabled={!write}
        onChange={(next) => void change(task, { status: next })}
        options={STATUSES.map((value) => ({ value, label: t(`task_${value}`) }))}
        className="w-36"
      />
      <div className="min-w-0 flex-1 basis-48">
        <span className={classes("block", finished && "text-text-3 line-through")}>{task.title}</span>
        {task.description && (
          <div className="mt-0.5">
            <Markdown text={task.description} />
          </div>
        )}
        <span className="num mt-0.5 flex flex-wrap gap-x-3 text-xs text-text-3">
          {task.assignee && <span>{task.assignee.name}</span>}
          {task.due && (
            <span className={late ? "text-critical" : ""}>{t("dueAt", { time: format.time(task.due) })}</span>
          )}
          {task.completed && (
            <span title={format.full(task.completed)}>
              {t(status === "skipped" ? "skippedBy" : "doneBy", {
                by: task.completed_by ?? "–",
                ago: format.ago(task.completed, Math.max(now, Date.parse(task.completed))),
              })}
            </span>
          )}
        </span>
      </div>
      {task.phase && <Badge className="mt-1.5">{task.phase}</Badge>}
      {write && (
        <span className="-mr-1.5 mt-0.5 flex max-sm:ml-auto">
          <IconButton
            label={t("taskUp", { title: task.title })}
            icon={ArrowUp}
            disabled={!before}
            className="!h-7 !w-7"
            onClick={() => void swap(task, before)}
          />
          <IconButton
            label={t("taskDown", { title: task.title })}
            icon={ArrowDown}
            disabled={!after}
            className="!h-7 !w-7"
            onClick={() => void swap(task, after)}
          />
          <IconButton label={`${u("edit")}: ${task.title}`} icon={PencilLine} className="!h-7 !w-7" onClick={onEdit} />
        </span>
      )}
    </li>
  );
}

function Add({ incident }: { incident: Incident }) {
  const t = useText(text);
  const refresh = useFreshen("incidents");
  const { busy, act } = useAction();
  const [title, setTitle] = useState("");
  const params = { path: { id: incident.id } };
  const templates = useQuery({
    queryKey: ["incident-templates"],
    queryFn: () => must(api.GET("/api/v1/incident-templates")),
  });
  const add = async (body: Schema<"AddTasks">) => {
    const added = await act(() => must(api.POST("/api/v1/incidents/{id}/tasks", { params, body })));
    refresh();
    return added;
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (await add({ title })) setTitle("");
  };
  return (
    <form onSubmit={submit} className="mt-3 flex flex-wrap gap-2">
      <Input
        aria-label={t("taskTitle")}
        placeholder={t("taskTitle")}
        value={title}
        onChange={(event) => setTitle(event.target.value)}
        className="!w-auto min-w-40 flex-1"
      />
      <Button type="submit" busy={busy} disabled={!title.trim()}>
        {t("addTask")}
      </Button>
      {(templates.data?.items.length ?? 0) > 0 && (
        <Menu trigger={<Button>{t("addTemplate")}</Button>}>
          {templates.data?.items.map((template) => (
            <MenuItem key={template.id} onSelect={() => void add({ template: template.id })}>
              {template.name}
            </MenuItem>
          ))}
        </Menu>
      )}
    </form>
  );
}

function Edit({ incident, task, onClose }: { incident: Incident; task: Task; onClose: () => void }) {
  const t = useText(text);
  const u = useText(ui);
  const people = useQuery(peopleQuery);
  const { busy, change, remove } = useTask(incident);
  const [title, setTitle] = useState(task.title);
  const [description, setDescription] = useState(task.description);
  const [assignee, setAssignee] = useState(task.assignee?.id ?? "");
  const [due, setDue] = useState(task.due ?? null);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    if (await change(task, { title, description, assignee: assignee || null, due })) onClose();
  };
  return (
    <form onSubmit={save} className="flex flex-col gap-4">
      <Field label={t("name")}>
        {(ids) => <Input {...ids} required value={title} onChange={(event) => setTitle(event.target.value)} />}
      </Field>
      <Field label={t("description")}>
        {(ids) => <Textarea {...ids} value={description} onChange={(event) => setDescription(event.target.value)} />}
      </Field>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("assignee")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("assignee")}
              value={assignee}
              onChange={setAssignee}
              className="w-full"
              options={[
                { value: "", label: t("nobody") },
                ...(people.data?.items ?? []).map((p) => ({ value: p.id, label: p.display_name || p.name })),
              ]}
            />
          )}
        </Field>
        <Field label={t("due")}>{(ids) => <When {...ids} value={due} onChange={setDue} />}</Field>
      </div>
      <div className="flex justify-between gap-2">
        <Button look="danger" busy={busy} onClick={() => void remove(task).then((gone) => gone && onClose())}>
          {t("taskDelete")}
        </Button>
        <Button type="submit" look="primary" busy={busy} disabled={!title.trim()}>
          {u("save")}
        </Button>
      </div>
    </form>
  );
}
