import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleCheck, LoaderCircle } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { labelsOf } from "@/pages/hosts/labels";
import { Button, LinkButton } from "@/ui/button";
import { Field, Input, Select } from "@/ui/form";
import { Dialog } from "@/ui/overlay";
import { Secret } from "@/ui/secret";
import { arrivalsQuery, commands, expiryOf, kitQuery, LIVES, type Life, type MadeToken, oneCommand } from "./data";
import { text } from "./strings";

const USES = { one: 1, ten: 10, hundred: 100, any: 0 } as const;
type Uses = keyof typeof USES;
const keysOf = <T extends object>(of: T) => Object.keys(of) as (keyof T & string)[];

/** From nothing to a machine that is watched: a token, the commands, and the machine as it arrives. */
export function Enrol({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useText(text);
  const [made, setMade] = useState<MadeToken | null>(null);
  const close = () => {
    setMade(null);
    onClose();
  };
  return (
    <Dialog open={open} onClose={close} title={t("enrolTitle")} wide>
      {made ? <Arrival made={made} onClose={close} /> : <TokenForm onMade={setMade} />}
    </Dialog>
  );
}

function TokenForm({ onMade }: { onMade: (made: MadeToken) => void }) {
  const t = useText(text);
  const { busy, act } = useAction();
  const refresh = useFreshen("enrolment-tokens");
  const [name, setName] = useState("");
  const [uses, setUses] = useState<Uses>("one");
  const [life, setLife] = useState<Life>("day");
  const [tags, setTags] = useState("");
  const [groups, setGroups] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = {
      name,
      uses_max: USES[uses],
      expires: expiryOf(life),
      tags: labelsOf(tags),
      groups: labelsOf(groups),
    };
    const made = await act(() => must(api.POST("/api/v1/enrollment-tokens", { body })));
    refresh();
    if (made) onMade(made);
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-4">
      <Field label={t("name")} hint={t("nameHint")}>
        {(ids) => <Input {...ids} required autoFocus value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t("howMany")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("howMany")}
              value={uses}
              onChange={setUses}
              options={keysOf(USES).map((value) => ({ value, label: t(value) }))}
            />
          )}
        </Field>
        <Field label={t("life")}>
          {(ids) => (
            <Select
              {...ids}
              label={t("life")}
              value={life}
              onChange={setLife}
              options={keysOf(LIVES).map((value) => ({ value, label: t(value) }))}
            />
          )}
        </Field>
        <Field label={t("tags")} hint={t("tagsHint")}>
          {(ids) => <Input {...ids} value={tags} onChange={(event) => setTags(event.target.value)} />}
        </Field>
        <Field label={t("groups")} hint={t("tagsHint")}>
          {(ids) => <Input {...ids} value={groups} onChange={(event) => setGroups(event.target.value)} />}
        </Field>
      </div>
      <Button type="submit" look="primary" busy={busy} className="self-end">
        {t("make")}
      </Button>
    </form>
  );
}

function Step({ n, title, hint, children }: { n: number; title: string; hint?: string; children?: ReactNode }) {
  return (
    <li className="flex gap-3">
      <span
        aria-hidden
        className="num flex size-6 shrink-0 items-center justify-center rounded-full bg-accent-soft text-xs font-semibold text-accent"
      >
        {n}
      </span>
      <div className="flex min-w-0 flex-1 flex-col gap-2">
        <div>
          <div className="text-sm font-medium">{title}</div>
          {hint && <div className="text-xs text-text-3">{hint}</div>}
        </div>
        {children}
      </div>
    </li>
  );
}

function Arrival({ made, onClose }: { made: MadeToken; onClose: () => void }) {
  const t = useText(text);
  const { data } = useQuery(arrivalsQuery(made.token.id));
  const { data: kit } = useQuery(kitQuery);
  const fetches = kit !== undefined && kit.programs.length > 0;
  const arrived = data ?? [];
  const several = made.token.uses_max !== 1;
  const waits = arrived.length === 0 || several;
  return (
    <div className="flex flex-col gap-4">
      <ol className="m-0 flex list-none flex-col gap-5 p-0">
        {fetches ? (
          <Step n={1} title={t("stepOne")} hint={t("stepOneHint")}>
            <Secret value={oneCommand(kit, location.origin, made.secret)} label={t("oneCommand")} />
          </Step>
        ) : (
          <Step n={1} title={t("stepInstall")} hint={t("stepInstallHint")} />
        )}
        <Step n={2} title={t(fetches ? "stepOr" : "stepPaste")} hint={t("stepPasteHint")}>
          <Secret value={commands(location.origin, made.secret)} label={t("command")} />
          <p className="m-0 text-xs text-text-3">{t("unlike")}</p>
        </Step>
        <Step n={3} title={t("stepArrive")}>
          <div role="status" className="flex flex-col gap-2 text-sm">
            {arrived.map((host) => {
              const there = host.status === "online";
              const Icon = there ? CircleCheck : LoaderCircle;
              return (
                <div key={host.id} className="flex flex-wrap items-center gap-2">
                  <Icon aria-hidden size={16} className={there ? "text-good" : "animate-spin text-text-3"} />
                  <span>{t(there ? "connected" : "cameIn", { name: host.name })}</span>
                  <Link
                    to="/hosts/$id"
                    params={{ id: host.id }}
                    onClick={onClose}
                    className="font-medium text-accent no-underline hover:underline"
                  >
                    {t("open", { name: host.name })}
                  </Link>
                </div>
              );
            })}
            {waits && (
              <div className="flex items-center gap-2 text-text-2">
                <LoaderCircle aria-hidden size={16} className="animate-spin" /> {t("waiting")}
              </div>
            )}
          </div>
        </Step>
      </ol>
      <div className="flex flex-wrap justify-end gap-2 border-t border-line pt-3">
        <LinkButton look="quiet" to="/help/$" params={{ _splat: "agent" }}>
          {t("more")}
        </LinkButton>
        <Button onClick={onClose}>{t("close")}</Button>
      </div>
    </div>
  );
}
