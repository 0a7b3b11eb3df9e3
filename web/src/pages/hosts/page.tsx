import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { FilterX, KeySquare, MonitorSmartphone, Plus, ServerOff } from "lucide-react";
import { useCallback, useEffect, useState } from "react";
import { allPages, freshen, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useLive } from "@/live/live";
import { Enrol } from "@/pages/enrolment/enrol";
import { Views } from "@/saved/views";
import { Button, LinkButton } from "@/ui/button";
import { NOTHING, type Selection } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListFrame, ListGrid } from "@/ui/list";
import { Empty } from "@/ui/state";
import { HostBulk } from "./bulk";
import { HostCard, useHostColumns } from "./columns";
import { hostCountQuery, hostFiguresQuery, hostsQuery } from "./data";
import { Filters } from "./filters";
import { type HostsSearch, hostsSearch } from "./search";
import { text } from "./strings";

const FRESH_MS = 2_000;
/** Heartbeats are told by no message; what they say is looked up now and then. */
const LOOK_MS = 20_000;

/** Ids of hosts that came, went or were changed in the last seconds. */
function useFreshHosts(): ReadonlySet<string> {
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  useLive((message) => {
    if (message.type !== "change" || !("subject" in message) || message.subject !== "host") return;
    const id = String(message.id);
    setFresh((before) => new Set(before).add(id));
    setTimeout(() => setFresh((before) => new Set([...before].filter((other) => other !== id))), FRESH_MS);
  });
  return fresh;
}

export default function HostsPage() {
  const t = useText(text);
  const client = useQueryClient();
  const state = useSearch({ from: "/inside/hosts" });
  const navigate = useNavigate({ from: "/hosts" });
  const columns = useHostColumns();
  const { shown, ids, choose } = useColumns("hosts", columns);
  const query = hostsQuery(state);
  const list = useRows(query);
  const count = useQuery(hostCountQuery(state));
  const figures = useQuery(hostFiguresQuery);
  const fresh = useFreshHosts();
  const manage = useCan("hosts:manage");
  const commands = useCan("hosts:command");
  const enrols = useCan("hosts:enroll");
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const [enrolling, setEnrolling] = useState(false);
  useEffect(() => {
    const timer = setInterval(() => freshen(client, ["hosts"], false), LOOK_MS);
    return () => clearInterval(timer);
  }, [client]);
  const change = useCallback(
    (part: Partial<HostsSearch>) => {
      // What was selected belongs to the list that was shown.
      setSelection(NOTHING);
      void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
    },
    [navigate],
  );
  const filtered = Object.keys(state).some((key) => key !== "sort");
  const total = count.data;
  return (
    <>
      <ListFrame
        title={t("title")}
        detail={total === undefined ? undefined : t("count", { n: total })}
        tools={
          <>
            {enrols && (
              <LinkButton to="/enrolment" icon={KeySquare}>
                {t("tokens")}
              </LinkButton>
            )}
            <Views
              page="hosts"
              search={state}
              ids={ids}
              choose={choose}
              onOpen={(view) => {
                setSelection(NOTHING);
                void navigate({ search: hostsSearch(view), replace: true });
              }}
            />
            <ExportMenu name="hosts" columns={columns} pages={() => allPages(query)} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
            {enrols && (
              <Button look="primary" icon={Plus} onClick={() => setEnrolling(true)}>
                {t("enrol")}
              </Button>
            )}
          </>
        }
        filters={
          <>
            <Filters state={state} figures={figures.data} onChange={change} />
            {filtered && (
              <Button look="quiet" icon={FilterX} onClick={() => void navigate({ search: {}, replace: true })}>
                {t("clear")}
              </Button>
            )}
          </>
        }
        above={
          <HostBulk
            selection={selection}
            rows={list.rows}
            total={total ?? list.rows.length}
            state={state}
            figures={figures.data}
            onSelect={setSelection}
          />
        }
      >
        <ListGrid
          list={list}
          label={t("title")}
          columns={shown}
          rowId={(host) => host.id}
          total={total}
          sort={state.sort ?? "name"}
          onSort={(sort) => change({ sort })}
          {...(manage || commands ? { selection, onSelect: setSelection } : {})}
          onOpen={(host) => void navigate({ to: "/hosts/$id", params: { id: host.id } })}
          card={(host) => <HostCard host={host} />}
          cardHeight={92}
          fresh={fresh}
          empty={<Nobody filtered={filtered} onEnrol={enrols ? () => setEnrolling(true) : null} />}
        />
      </ListFrame>
      <Enrol open={enrolling} onClose={() => setEnrolling(false)} />
    </>
  );
}

function Nobody({ filtered, onEnrol }: { filtered: boolean; onEnrol: (() => void) | null }) {
  const t = useText(text);
  if (filtered) {
    return (
      <Empty icon={ServerOff} title={t("noneFound")}>
        {t("noneFoundHint")}
      </Empty>
    );
  }
  return (
    <Empty
      icon={MonitorSmartphone}
      title={t("none")}
      action={
        <>
          {onEnrol && (
            <Button look="primary" icon={Plus} onClick={onEnrol}>
              {t("enrolFirst")}
            </Button>
          )}
          <LinkButton to="/help/$" params={{ _splat: "agent" }}>
            {t("about")}
          </LinkButton>
        </>
      }
    >
      {t(onEnrol ? "noneHint" : "noneHintOther")}
    </Empty>
  );
}
