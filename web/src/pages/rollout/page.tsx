import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ArrowLeft, CircleX, Pause, Play, Undo2 } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must } from "@/api/client";
import { allPages, useFreshen, useRows } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { HostCard, hostColumn, saysColumn } from "@/pages/hosts/of-host";
import {
  HOST_STATE_NAMES,
  type Rollout,
  type RolloutHost,
  rolloutHostsQuery,
  rolloutQuery,
} from "@/pages/versions/data";
import { HostStateMark, HostStates, RolloutState, useStageWords } from "@/pages/versions/parts";
import { text } from "@/pages/versions/strings";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Field, Input, Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListGrid } from "@/ui/list";
import { Confirm } from "@/ui/overlay";
import { Facts, Panel } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Ago } from "@/ui/time";

/** One rollout: its stages, live, and what each host says. */
export default function RolloutPage() {
  const { id } = useParams({ from: "/inside/rollouts/$id" });
  const query = useQuery(rolloutQuery(id));
  return (
    <Loaded query={query} rows={10}>
      {(rollout) => <Known rollout={rollout} />}
    </Loaded>
  );
}

type Decision = "pause" | "resume" | "abort" | "roll_back";

function Decisions({ rollout }: { rollout: Rollout }) {
  const t = useText(text);
  const may = useCan("hosts:upgrade");
  const refresh = useFreshen("rollouts", "hosts");
  const { busy, act } = useAction();
  const [asking, setAsking] = useState<"abort" | "roll_back" | null>(null);
  const [reason, setReason] = useState("");
  if (!may) return null;
  const { state, release_version: version } = rollout;
  const decide = async (action: Decision, said: string) => {
    const params = { path: { id: rollout.id } };
    await act(() => must(api.POST("/api/v1/rollouts/{id}/decide", { params, body: { action, reason } })), said);
    setReason("");
    refresh();
  };
  const back = asking === "roll_back";
  return (
    <span className="flex flex-wrap gap-2">
      {state === "running" && (
        <Button icon={Pause} busy={busy} onClick={() => void decide("pause", t("paused"))}>
          {t("pause")}
        </Button>
      )}
      {(state === "paused" || state === "failed") && (
        <Button icon={Play} busy={busy} onClick={() => void decide("resume", t("resumed"))}>
          {t("resume")}
        </Button>
      )}
      {(state === "running" || state === "paused") && (
        <Button icon={CircleX} onClick={() => setAsking("abort")}>
          {t("abort")}
        </Button>
      )}
      <Button look="danger" icon={Undo2} onClick={() => setAsking("roll_back")}>
        {t("takeBack")}
      </Button>
      <Confirm
        open={asking !== null}
        onClose={() => setAsking(null)}
        title={back ? t("takeBackTitle", { version }) : t("abortTitle", { version })}
        description={
          <div className="flex flex-col gap-4">
            <p className="m-0">{t(back ? "takeBackHint" : "abortHint")}</p>
            <Field label={t("why")} hint={t("whyHint")}>
              {(ids) => <Input {...ids} value={reason} onChange={(event) => setReason(event.target.value)} />}
            </Field>
          </div>
        }
        action={t(back ? "takeBackAction" : "abortAction")}
        danger
        onConfirm={() => decide(back ? "roll_back" : "abort", t(back ? "tookBack" : "aborted"))}
      />
    </span>
  );
}

function useHostColumns(): readonly Column<RolloutHost>[] {
  const t = useText(text);
  const format = useFormat();
  return useMemo<readonly Column<RolloutHost>[]>(
    () => [
      hostColumn(t("host")),
      {
        id: "state",
        label: t("state"),
        width: 130,
        grow: 0,
        cell: (host) => <HostStateMark state={host.state} />,
        value: (host) => host.state,
      },
      {
        id: "stage",
        label: t("stage"),
        width: 70,
        grow: 0,
        end: true,
        cell: (host) => host.stage,
        value: (host) => host.stage,
      },
      saysColumn(t("says")),
      {
        id: "from",
        label: t("fromVersion"),
        width: 90,
        grow: 0,
        cell: (host) => host.from_version || "–",
        value: (host) => host.from_version,
      },
      {
        id: "fetched",
        label: t("fetched"),
        width: 90,
        grow: 0,
        end: true,
        cell: (host) => (host.fetched > 0 ? format.bytes(host.fetched) : "–"),
        value: (host) => host.fetched,
      },
      {
        id: "updated",
        label: t("changed"),
        width: 120,
        grow: 0,
        end: true,
        cell: (host) => <Ago time={host.updated} />,
        value: (host) => host.updated,
      },
    ],
    [t, format],
  );
}

function Stages({ rollout }: { rollout: Rollout }) {
  const t = useText(text);
  const format = useFormat();
  const words = useStageWords();
  const under = rollout.state === "running" || rollout.state === "paused";
  return (
    <Panel title={t("stages")}>
      <ol className="m-0 flex list-none flex-col gap-4 p-0">
        {rollout.stages.map((stage, index) => {
          const number = index + 1;
          const now = under && number === rollout.stage;
          const passed = number < rollout.stage || rollout.state === "done" || (now && rollout.stage_passed !== null);
          return (
            <li key={number} aria-current={now ? "step" : undefined} className="flex flex-col gap-1.5 text-sm">
              <span className="flex flex-wrap items-center gap-x-2">
                <span className="font-medium">{t("stageN", { n: number })}</span>
                <span className="min-w-0 break-words text-text-2">{words(stage, format)}</span>
                {passed ? (
                  <Badge tone="good">{t("stagePassed")}</Badge>
                ) : (
                  now && <Badge tone="low">{t("stageNow")}</Badge>
                )}
              </span>
              <HostStates states={stage.states} words />
            </li>
          );
        })}
      </ol>
    </Panel>
  );
}

function Rules({ rollout }: { rollout: Rollout }) {
  const t = useText(text);
  const format = useFormat();
  const { success_percent: percent, bytes_per_s: rate } = rollout;
  return (
    <Panel title={t("facts")}>
      <Facts
        items={[
          [t("reason"), rollout.reason],
          [t("success"), t("successValue", { percent, span: format.duration(rollout.within_s) })],
          [t("prove"), format.duration(rollout.prove_within_s)],
          [t("rate"), rate > 0 ? t("perSecond", { bytes: format.bytes(rate) }) : t("unlimited")],
          [t("atOnce"), String(rollout.at_once)],
          [t("rollBack"), t(rollout.roll_back ? "yes" : "no")],
          [t("again"), rollout.again && t("tryAgain")],
        ]}
      />
    </Panel>
  );
}

function Known({ rollout }: { rollout: Rollout }) {
  const t = useText(text);
  const { state } = useSearch({ from: "/inside/rollouts/$id" });
  const navigate = useNavigate({ from: "/rollouts/$id" });
  const query = rolloutHostsQuery(rollout.id, state);
  const list = useRows(query);
  const columns = useHostColumns();
  return (
    <div className="flex h-full flex-col">
      <div className="shrink-0 px-4 md:px-6">
        <Link
          to="/versions"
          className="mt-4 inline-flex items-center gap-1.5 text-sm text-text-3 no-underline hover:text-text"
        >
          <ArrowLeft aria-hidden size={14} /> {t("back")}
        </Link>
        <header className="flex flex-wrap items-start gap-x-6 gap-y-3 pb-3 pt-1">
          <div className="min-w-0 flex-1 basis-80">
            <h1 className="m-0 truncate text-xl font-semibold tracking-[-0.012em]">
              {t("rolloutOf", { version: rollout.release_version })}
            </h1>
            <div className="mt-1.5 flex flex-wrap items-center gap-x-3 gap-y-1.5 text-sm text-text-2">
              <RolloutState state={rollout.state} />
              <span>{t("onHosts", { n: rollout.hosts })}</span>
              <span>
                {rollout.author} · <Ago time={rollout.created} />
              </span>
            </div>
          </div>
          <Decisions rollout={rollout} />
        </header>
      </div>
      <div className="grid shrink-0 items-start gap-4 px-4 pb-3 md:px-6 lg:grid-cols-[3fr_2fr]">
        <Stages rollout={rollout} />
        <Rules rollout={rollout} />
      </div>
      <div className="filter-row shrink-0 px-4 pb-3 md:px-6">
        <Select
          label={t("state")}
          value={state ?? "any"}
          onChange={(next) => void navigate({ search: next === "any" ? {} : { state: next }, replace: true })}
          options={[
            { value: "any", label: t("anyState") },
            ...HOST_STATE_NAMES.map((one) => ({ value: one as string, label: t(one) })),
          ]}
        />
        <span className="ml-auto flex gap-2">
          <ExportMenu name={`rollout-${rollout.release_version}`} columns={columns} pages={() => allPages(query)} />
        </span>
      </div>
      <div className="panel mx-3 mb-3 flex min-h-72 flex-1 shrink-0 flex-col overflow-hidden md:mx-6 md:mb-6">
        <ListGrid
          list={list}
          label={t("hosts")}
          columns={columns}
          rowId={(host) => host.host}
          cardHeight={68}
          card={(host) => <HostCard row={host} mark={<HostStateMark state={host.state} />} />}
          empty={<Empty icon={CircleX} title={t("noneFound")} />}
        />
      </div>
    </div>
  );
}
