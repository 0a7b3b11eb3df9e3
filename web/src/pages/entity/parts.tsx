import { Link } from "@tanstack/react-router";
import { EntityLink } from "@/app/entity-link";
import { usePreferences, useText } from "@/app/preferences";
import { Bars } from "@/charts/bars";
import { Ranking } from "@/charts/ranking";
import { useFormat } from "@/i18n/format";
import { PROTOCOLS } from "@/pages/hunt/cell";
import { Facts as FactList, Panel } from "@/ui/panel";
import { Loading } from "@/ui/state";
import { Table } from "@/ui/table";
import { At } from "@/ui/time";
import type { Entity } from "./page";
import { text } from "./strings";

const STEPS = 60;
const KNOWN = ["country", "as_number", "as_name", "direction", "first_seen", "last_seen"] as const;

export function Facts({ entity }: { entity: Entity }) {
  const t = useText(text);
  const format = useFormat();
  const { language } = usePreferences().preferences;
  const facts = entity.facts as Record<string, unknown>;
  const show = (name: (typeof KNOWN)[number]) => {
    const value = facts[name];
    if (value === null || value === undefined) return null;
    if (name === "first_seen" || name === "last_seen") return <At key={name} time={String(value)} />;
    if (name === "country" && /^[A-Z]{2}$/.test(String(value)))
      return new Intl.DisplayNames([language], { type: "region" }).of(String(value));
    return String(value);
  };
  const { alerts, incidents, flows, bytes } = entity.counts;
  return (
    <Panel title={t("facts")}>
      <FactList
        items={[
          ...KNOWN.map((name) => [t(name), show(name)] as const),
          [t("alerts"), format.number(alerts)],
          [t("incidents"), format.number(incidents)],
          ...(entity.flows_read
            ? ([
                [t("flows"), format.number(flows)],
                [t("bytes"), format.bytes(bytes)],
              ] as const)
            : ([[t("flows"), t("reading")]] as const)),
        ]}
      />
    </Panel>
  );
}

/** What it sent and received; dragging looks closer. */
export function Traffic({ entity, onBrush }: { entity: Entity; onBrush: (from: number, to: number) => void }) {
  const t = useText(text);
  const format = useFormat();
  const from = Date.parse(entity.from);
  const to = Date.parse(entity.to);
  const bars = entity.traffic.filter((step) => step.flows > 0);
  return (
    <Panel title={t("traffic")} aside={<span className="text-xs text-text-3 max-sm:hidden">{t("brushHint")}</span>}>
      {!entity.flows_read ? (
        <Loading rows={4} className="p-0" />
      ) : bars.length === 0 ? (
        <p className="m-0 py-6 text-center text-sm text-text-3">{t("noFlows")}</p>
      ) : (
        <Bars
          label={t("traffic")}
          from={from}
          to={to}
          stepMs={(to - from) / STEPS}
          fills={["var(--accent)", "var(--low-fill)"]}
          names={[t("sent"), t("received")]}
          show={format.bytes}
          height={120}
          bars={bars.map((step) => ({ start: Date.parse(step.start), parts: [step.bytes_out, step.bytes_in] }))}
          onBrush={onBrush}
        />
      )}
    </Panel>
  );
}

/** Where peers and services will be. */
export function Reading() {
  const t = useText(text);
  return ["peers" as const, "ports" as const].map((name) => (
    <Panel key={name} title={t(name)}>
      <Loading rows={6} className="p-0" />
    </Panel>
  ));
}

export function Peers({ entity }: { entity: Entity }) {
  const t = useText(text);
  const format = useFormat();
  return (
    <Panel title={t("peers")}>
      <Ranking
        label={t("peers")}
        rows={entity.peers.map((peer) => ({
          key: peer.value,
          label: <EntityLink kind="ip" value={peer.value} />,
          value: peer.bytes,
          shown: format.bytes(peer.bytes),
        }))}
      />
    </Panel>
  );
}

export function Ports({ entity }: { entity: Entity }) {
  const t = useText(text);
  const format = useFormat();
  const name = (protocol: number) => PROTOCOLS[protocol] ?? String(protocol);
  return (
    <Panel title={t("ports")} flush>
      <Table
        label={t("ports")}
        rows={entity.ports}
        rowId={(port) => `${port.role}-${port.protocol}-${port.port}`}
        className="max-h-96"
        heads={[
          {
            id: "port",
            label: t("port"),
            cell: (port) => (
              <Link
                to="/hunt"
                search={{
                  filter: `ip = ${entity.value} and dst_port = ${port.port}`,
                  from: entity.from,
                  to: entity.to,
                }}
                className="num text-text no-underline hover:text-accent"
              >
                {`${port.port}/${name(port.protocol)}`}
              </Link>
            ),
          },
          { id: "role", label: t("role"), cell: (port) => t(port.role === "offers" ? "offers" : "uses") },
          { id: "flows", label: t("flows"), end: true, cell: (port) => format.count(port.flows) },
          { id: "bytes", label: t("bytes"), end: true, cell: (port) => format.bytes(port.bytes) },
        ]}
      />
    </Panel>
  );
}
