import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleCheck, CircleDashed, LoaderCircle } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";
import { useKept } from "@/app/kept";
import { useText } from "@/app/preferences";
import { useSession } from "@/app/session";
import { page as manualPage } from "@/pages/help/manual";
import { Invite, type Link, LinkDialog } from "@/pages/users/invite";
import { Button, LinkButton } from "@/ui/button";
import { Select } from "@/ui/form";
import { Markdown } from "@/ui/markdown";
import { PageHeader, Panel } from "@/ui/panel";
import { done } from "@/ui/toast";
import { type Device, devices } from "./devices";
import { readStart, START } from "./offer";
import { type Progress, useProgress } from "./progress";
import { text } from "./strings";

interface StepProps {
  title: string;
  done: boolean;
  why: string;
  children?: ReactNode;
}

function Step({ title, done, why, children }: StepProps) {
  const t = useText(text);
  const Icon = done ? CircleCheck : CircleDashed;
  return (
    <li>
      <Panel
        label={title}
        title={
          <span className="flex items-center gap-2.5">
            <Icon aria-hidden size={18} className={done ? "shrink-0 text-good" : "shrink-0 text-text-3"} />
            <span className="truncate">{title}</span>
            <span className="sr-only">{t(done ? "done" : "open")}</span>
          </span>
        }
      >
        <p className="mb-3 mt-0 text-sm text-text-2">{why}</p>
        {children}
      </Panel>
    </li>
  );
}

const guideQuery = {
  queryKey: ["manual", "exporters"],
  queryFn: () => manualPage("exporters"),
  staleTime: Number.POSITIVE_INFINITY,
};

/** The manual's section about one device, with this server's name in the place of the example's. */
function Guide() {
  const t = useText(text);
  const guide = useQuery(guideQuery);
  const all = useMemo(() => devices(guide.data ?? "", location.hostname), [guide.data]);
  const [chosen, setChosen] = useState<string | null>(null);
  const device: Device | undefined = all.find((one) => one.name === chosen) ?? all[0];
  if (!device) return null;
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-3">
        <Select
          label={t("device")}
          prefix={t("device")}
          value={device.name}
          onChange={setChosen}
          options={all.map(({ name }) => ({ value: name, label: name }))}
        />
        <LinkButton look="quiet" to="/help/$" params={{ _splat: "exporters" }}>
          {t("moreExporters")}
        </LinkButton>
      </div>
      <section aria-label={device.name} tabIndex={0} className="relative max-h-80 overflow-y-auto">
        <Markdown text={device.text} />
      </section>
      <p className="m-0 text-xs text-text-3">{t("ports")}</p>
    </div>
  );
}

function Exporters({ n }: { n: number | null }) {
  const t = useText(text);
  const ready = (n ?? 0) > 0;
  return (
    <Step title={t("exporter")} done={ready} why={ready ? t("exporterDone", { n: n ?? 0 }) : t("exporterWhy")}>
      {!ready && (
        <>
          <Guide />
          <p role="status" className="mb-0 mt-3 flex items-center gap-2 text-sm text-text-2">
            <LoaderCircle aria-hidden size={15} className="animate-spin" /> {t("waiting")}
          </p>
          <div className="mt-4 border-t border-line pt-3 text-sm">
            <span className="font-medium">{t("try")}</span> <span className="text-text-2">{t("tryHint")}</span>
            <code className="mono mt-1 block select-all overflow-x-auto rounded-m bg-sunken px-3 py-2">
              guardian replay captures/ssh-brute-force.ipfix.pcap
            </code>
          </div>
        </>
      )}
    </Step>
  );
}

function Machine({ n }: { n: number | null }) {
  const t = useText(text);
  const ready = (n ?? 0) > 0;
  return (
    <Step title={t("machine")} done={ready} why={ready ? t("machineDone", { n: n ?? 0 }) : t("machineWhy")}>
      <LinkButton look={ready ? "plain" : "primary"} to="/hosts">
        {t("toHosts")}
      </LinkButton>
    </Step>
  );
}

function Colleague({ n }: { n: number | null }) {
  const t = useText(text);
  const [inviting, setInviting] = useState(false);
  const [link, setLink] = useState<Link | null>(null);
  const ready = (n ?? 0) > 1;
  return (
    <Step title={t("colleague")} done={ready} why={ready ? t("colleagueDone", { n: n ?? 0 }) : t("colleagueWhy")}>
      <Button look={ready ? "plain" : "primary"} onClick={() => setInviting(true)}>
        {t("invite")}
      </Button>
      <Invite
        open={inviting}
        onClose={() => setInviting(false)}
        onMade={(made) => {
          setInviting(false);
          setLink(made);
        }}
      />
      <LinkDialog link={link} onClose={() => setLink(null)} />
    </Step>
  );
}

/** What makes a new installation useful, each with its way there; it ticks itself off. */
export default function StartPage() {
  const t = useText(text);
  const navigate = useNavigate();
  const { permissions } = useSession();
  const progress = useProgress();
  const [start, choose] = useKept(START, readStart);
  const can = (permission: string) => permissions.includes(permission);
  const ready = steps(progress, can);
  return (
    <div className="mx-auto max-w-[820px] pb-10">
      <PageHeader title={t("title")} detail={t("lead", { done: ready.filter(Boolean).length, all: ready.length })}>
        {!start.hidden && (
          <Button
            onClick={() => {
              choose({ hidden: true });
              done(t("hidden"));
              void navigate({ to: "/" });
            }}
          >
            {t("hide")}
          </Button>
        )}
      </PageHeader>
      <ol className="m-0 flex list-none flex-col gap-4 px-4 py-0 md:px-6">
        {can("exporters:read") && <Exporters n={progress.exporters} />}
        {can("hosts:enroll") && <Machine n={progress.hosts} />}
        {can("rules:write") && (
          <Step
            title={t("rule")}
            done={(progress.rules?.own ?? 0) > 0}
            why={
              (progress.rules?.own ?? 0) > 0
                ? t("ruleDone", { n: progress.rules?.own ?? 0 })
                : t("ruleWhy", { n: progress.rules?.shipped ?? 0 })
            }
          >
            <span className="flex flex-wrap gap-2">
              <LinkButton
                look={(progress.rules?.own ?? 0) > 0 ? "plain" : "primary"}
                to="/rules/$id"
                params={{ id: "new" }}
              >
                {t("newRule")}
              </LinkButton>
              <LinkButton to="/rules">{t("seeRules")}</LinkButton>
            </span>
          </Step>
        )}
        {can("users:manage") && <Colleague n={progress.people} />}
        <Step title={t("factor")} done={progress.factor} why={t(progress.factor ? "factorDone" : "factorWhy")}>
          {!progress.factor && <LinkButton to="/profile">{t("addFactor")}</LinkButton>}
        </Step>
      </ol>
    </div>
  );
}

/** Whether each step that the person may take is done. */
function steps(progress: Progress, can: (permission: string) => boolean): boolean[] {
  return [
    ...(can("exporters:read") ? [(progress.exporters ?? 0) > 0] : []),
    ...(can("hosts:enroll") ? [(progress.hosts ?? 0) > 0] : []),
    ...(can("rules:write") ? [(progress.rules?.own ?? 0) > 0] : []),
    ...(can("users:manage") ? [(progress.people ?? 0) > 1] : []),
    progress.factor,
  ];
}
