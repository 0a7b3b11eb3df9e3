import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Boxes, SearchX } from "lucide-react";
import { useMemo } from "react";
import { allPages, useRows } from "@/api/list";
import { useText } from "@/app/preferences";
import { HostStatus } from "@/pages/hosts/parts";
import { Views } from "@/saved/views";
import { Badge } from "@/ui/badge";
import { Select } from "@/ui/form";
import type { Column } from "@/ui/grid/column";
import { ColumnsMenu, useColumns } from "@/ui/grid/columns-menu";
import { ExportMenu } from "@/ui/grid/export-menu";
import { ListFrame, ListGrid, ListSearch } from "@/ui/list";
import { Dialog } from "@/ui/overlay";
import { Empty, Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { idOf, readId, type Software, softwareCountQuery, softwareHostsQuery, softwareQuery } from "./data";
import { KINDS, type SoftwareSearch, softwareSearch } from "./search";
import { text } from "./strings";

function useSoftwareColumns(): readonly Column<Software>[] {
  const t = useText(text);
  return useMemo<readonly Column<Software>[]>(
    () => [
      {
        id: "name",
        label: t("name"),
        width: 200,
        grow: 2,
        fixed: true,
        sort: "name",
        rises: true,
        cell: (one) => <span className="font-medium">{one.name}</span>,
        value: (one) => one.name,
      },
      {
        id: "kind",
        label: t("kind"),
        width: 110,
        grow: 0,
        cell: (one) => <Badge>{one.kind}</Badge>,
        value: (one) => one.kind,
      },
      {
        id: "versions",
        label: t("versions"),
        width: 260,
        grow: 2,
        cell: ({ versions }) => {
          const said = versions.map(({ version, hosts }) => `${version} (${hosts})`).join(", ");
          const [first] = versions;
          return (
            <span className="mono text-xs" title={said}>
              {versions.length > 1
                ? t("oneOf", { first: first?.version ?? "", n: versions.length - 1 })
                : first?.version}
            </span>
          );
        },
        value: ({ versions }) => versions.map(({ version }) => version).join(" "),
      },
      {
        id: "licences",
        label: t("licences"),
        width: 180,
        cell: (one) => <span className="text-text-2">{one.licences || "–"}</span>,
        value: (one) => one.licences,
      },
      {
        id: "vendor",
        label: t("vendor"),
        width: 160,
        hidden: true,
        cell: (one) => <span className="text-text-2">{one.vendor || "–"}</span>,
        value: (one) => one.vendor,
      },
      {
        id: "hosts",
        label: t("hosts"),
        width: 90,
        grow: 0,
        end: true,
        sort: "hosts",
        cell: (one) => one.hosts,
        value: (one) => one.hosts,
      },
    ],
    [t],
  );
}

/** The hosts that have a software, version by version. */
function HostsOf({
  id,
  version,
  onVersion,
  onClose,
}: {
  id: string;
  version: string | undefined;
  onVersion: (version: string | undefined) => void;
  onClose: () => void;
}) {
  const t = useText(text);
  const { kind, name } = readId(id);
  const query = useQuery(softwareHostsQuery(kind, name));
  return (
    <Dialog open onClose={onClose} title={name} description={<Badge>{kind}</Badge>} sheet>
      <Loaded query={query}>
        {({ items, truncated }) => {
          const versions = [...new Set(items.map((one) => one.version))];
          const shown = items.filter((one) => version === undefined || one.version === version);
          return (
            <div className="flex flex-col gap-3">
              <span className="flex items-center gap-3">
                <Select
                  label={t("version")}
                  value={version ?? ""}
                  onChange={(next) => onVersion(next || undefined)}
                  options={[
                    { value: "", label: t("anyVersion") },
                    ...versions.map((one) => ({ value: one, label: one })),
                  ]}
                />
                <span className="text-sm text-text-2">{t("onHosts", { n: shown.length })}</span>
              </span>
              <Table
                label={t("hosts")}
                rows={shown}
                rowId={(one) => `${one.host_id} ${one.version} ${one.architecture}`}
                heads={[
                  {
                    id: "host",
                    label: t("host"),
                    cell: (one) => (
                      <Link
                        to="/hosts/$id"
                        params={{ id: one.host_id }}
                        search={{ tab: "inventory", q: name }}
                        className="font-medium text-text no-underline hover:text-accent"
                      >
                        {one.host}
                      </Link>
                    ),
                  },
                  { id: "status", label: t("status"), cell: (one) => <HostStatus status={one.status} /> },
                  { id: "version", label: t("version"), cell: (one) => <span className="mono">{one.version}</span> },
                  { id: "architecture", label: t("architecture"), cell: (one) => one.architecture || "–" },
                ]}
              />
              {truncated && <p className="m-0 text-xs text-text-3">{t("truncated")}</p>}
            </div>
          );
        }}
      </Loaded>
    </Dialog>
  );
}

/** The software of all hosts. */
export default function SoftwarePage() {
  const t = useText(text);
  const state = useSearch({ from: "/inside/software" });
  const navigate = useNavigate({ from: "/software" });
  const query = softwareQuery(state);
  const list = useRows(query);
  const count = useQuery(softwareCountQuery(state));
  const columns = useSoftwareColumns();
  const { shown, ids, choose } = useColumns("software", columns);
  const change = (part: Partial<SoftwareSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const filtered = state.q !== undefined || state.kind !== undefined;
  return (
    <>
      <ListFrame
        title={t("title")}
        detail={count.data === undefined ? t("lead") : `${t("lead")} · ${t("count", { n: count.data })}`}
        tools={
          <>
            <Views
              page="software"
              search={state}
              ids={ids}
              choose={choose}
              onOpen={(view) => void navigate({ search: softwareSearch(view), replace: true })}
            />
            <ExportMenu name="software" columns={columns} pages={() => allPages(query)} />
            <ColumnsMenu all={columns} ids={ids} choose={choose} />
          </>
        }
        filters={
          <>
            <ListSearch label={t("search")} value={state.q} onSearch={(q) => change({ q })} />
            <Select
              label={t("kind")}
              value={state.kind ?? "any"}
              onChange={(kind) => change({ kind: kind === "any" ? undefined : kind })}
              options={[
                { value: "any" as const, label: t("anyKind") },
                ...KINDS.map((value) => ({ value, label: value })),
              ]}
            />
          </>
        }
      >
        <ListGrid
          list={list}
          label={t("title")}
          columns={shown}
          rowId={idOf}
          total={count.data}
          sort={state.sort ?? "name"}
          onSort={(sort) => change({ sort: sort === "hosts" ? "hosts" : undefined })}
          onOpen={(one) => change({ of: idOf(one) })}
          cardHeight={64}
          card={(one) => (
            <div className="flex h-full flex-col justify-between text-sm">
              <span className="flex items-center justify-between gap-3">
                <span className="truncate font-medium">{one.name}</span>
                <span className="num">{one.hosts}</span>
              </span>
              <span className="mono truncate text-xs text-text-3">{one.versions[0]?.version}</span>
            </div>
          )}
          empty={
            filtered ? (
              <Empty icon={SearchX} title={t("noneFound")} />
            ) : (
              <Empty icon={Boxes} title={t("none")}>
                {t("noneHint")}
              </Empty>
            )
          }
        />
      </ListFrame>
      {state.of && (
        <HostsOf
          key={state.of}
          id={state.of}
          version={state.version}
          onVersion={(version) => change({ version })}
          onClose={() => change({ of: undefined, version: undefined })}
        />
      )}
    </>
  );
}
