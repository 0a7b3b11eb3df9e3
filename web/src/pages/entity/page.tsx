import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Bell, Crosshair, Plus, SearchX } from "lucide-react";
import { useMemo, useState } from "react";
import { api, must, type Schema } from "@/api/client";
import { useText } from "@/app/preferences";
import { bounds, RANGES, rangeText } from "@/app/range";
import { useCan } from "@/app/session";
import { CreateIncident } from "@/pages/incidents/create";
import { Badge } from "@/ui/badge";
import { Button, LinkButton } from "@/ui/button";
import { Select } from "@/ui/form";
import { PageHeader } from "@/ui/panel";
import { Empty, Loaded } from "@/ui/state";
import { Facts, Peers, Ports, Reading, Traffic } from "./parts";
import { text } from "./strings";
import { Incidents, Timeline } from "./timeline";

export type Entity = Schema<"EntityPage">;
const KINDS = ["ip", "host", "user", "domain", "hash", "url", "email", "file", "other"] as const;

/** How soon it is asked again whether flows were read. */
const AGAIN_MS = 250;

/** Everything that is known about one thing, on one timeline. */
export default function EntityPage() {
  const t = useText(text);
  const r = useText(rangeText);
  const { kind, value } = useParams({ from: "/inside/entities/$kind/$value" });
  const state = useSearch({ from: "/inside/entities/$kind/$value" });
  const navigate = useNavigate({ from: "/entities/$kind/$value" });
  const [creating, setCreating] = useState(false);
  const mayWrite = useCan("incidents:write");
  const mayHunt = useCan("flows:read");
  const { range = "24h", from, to } = state;
  // A range is taken once when it is chosen, so that all pictures agree.
  const stretch = useMemo(() => (from && to ? { from, to } : bounds(range)), [from, to, range]);
  const query = useQuery({
    queryKey: ["entity", kind, value, stretch],
    // What the catalog knows is there at once; flows of a busy address follow when they are read.
    queryFn: () =>
      must(
        api.GET("/api/v1/entities/{kind}/{value}", {
          params: { path: { kind, value }, query: { ...stretch, wait: 0 } },
        }),
      ),
    refetchInterval: ({ state: { data } }) => (data && !data.flows_read ? AGAIN_MS : false),
  });
  const known = KINDS.find((one) => one === kind) ?? "other";
  return (
    <div className="mx-auto max-w-[1500px] pb-8">
      <PageHeader title={<span className="mono">{value}</span>} detail={<Badge tone="accent">{t(known)}</Badge>}>
        <Select
          label={r("range")}
          value={from ? "chosen" : range}
          onChange={(next) =>
            void navigate({ search: next === "chosen" || next === "24h" ? {} : { range: next }, replace: true })
          }
          options={[
            ...RANGES.map((one) => ({ value: one, label: r(one) })),
            ...(from ? [{ value: "chosen" as const, label: r("chosen") }] : []),
          ]}
        />
        <LinkButton icon={Bell} to="/alerts" search={{ entity: value, status: "all" }}>
          {t("itsAlerts")}
        </LinkButton>
        {mayHunt && kind === "ip" && (
          <LinkButton icon={Crosshair} to="/hunt" search={{ filter: `ip = ${value}`, range }}>
            {t("hunt")}
          </LinkButton>
        )}
        {mayWrite && (
          <Button icon={Plus} onClick={() => setCreating(true)}>
            {t("newIncident")}
          </Button>
        )}
      </PageHeader>
      <Loaded query={query} rows={10}>
        {(entity) => (
          <Known
            entity={entity}
            onBrush={(start, end) =>
              void navigate({ search: { from: new Date(start).toISOString(), to: new Date(end).toISOString() } })
            }
          />
        )}
      </Loaded>
      <CreateIncident
        open={creating}
        onClose={() => setCreating(false)}
        title={value}
        alerts={(query.data?.alerts ?? [])
          .filter((alert) => alert.status !== "closed" && !alert.incident)
          .map((alert) => alert.id)}
      />
    </div>
  );
}

function Known({ entity, onBrush }: { entity: Entity; onBrush: (from: number, to: number) => void }) {
  const t = useText(text);
  const { alerts, incidents, flows } = entity.counts;
  const reading = !entity.flows_read;
  if (alerts + incidents + flows === 0 && !reading) {
    return (
      <Empty icon={SearchX} title={t("nothing")} action={<LinkButton to="/hunt">{t("hunt")}</LinkButton>}>
        {t("nothingHint")}
      </Empty>
    );
  }
  return (
    <div className="grid items-start gap-4 px-4 md:px-6 lg:grid-cols-[minmax(0,1fr)_340px]">
      <div className="flex min-w-0 flex-col gap-4">
        {entity.kind === "ip" && <Traffic entity={entity} onBrush={onBrush} />}
        <Timeline entity={entity} />
        <div className="grid items-start gap-4 empty:hidden xl:grid-cols-2">
          {reading && <Reading />}
          {entity.peers.length > 0 && <Peers entity={entity} />}
          {entity.ports.length > 0 && <Ports entity={entity} />}
        </div>
      </div>
      <div className="flex min-w-0 flex-col gap-4">
        <Facts entity={entity} />
        <Incidents entity={entity} />
      </div>
    </div>
  );
}
