import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Group, PackageCheck, ShieldCheck } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Empty, Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { Segmented } from "@/ui/tabs";
import { At } from "@/ui/time";
import { compareQuery, type Exception, exceptionsQuery, type Fix, fixesQuery } from "./data";
import { Name, Rating } from "./parts";
import type { VulnerabilitiesSearch } from "./search";
import { text } from "./strings";

/** To which version, and where it is installed already. */
function Version({ fix }: { fix: Fix }) {
  const t = useText(text);
  return (
    <span>
      <span className="mono">{fix.version}</span>
      {fix.restart > 0 && (
        <span className="block text-xs text-accent" title={t("restartHint")}>
          {t("restartFix", { n: fix.restart_hosts })}
        </span>
      )}
    </span>
  );
}

/** The updates that take the most risk away. */
export function FixFirst({ state, host }: { state: VulnerabilitiesSearch; host?: string }) {
  const t = useText(text);
  const format = useFormat();
  const query = useQuery(fixesQuery(state, host));
  return (
    <Loaded query={query} rows={8}>
      {({ items }) =>
        items.length === 0 ? (
          <Empty icon={PackageCheck} title={t("noFixes")} />
        ) : (
          <Table
            label={t("fixes")}
            rows={items}
            rowId={(fix) => `${fix.ecosystem} ${fix.package}`}
            heads={[
              {
                id: "package",
                label: t("package"),
                cell: (fix) => (
                  <Link
                    to="/vulnerabilities"
                    search={{ ...state, view: undefined, package: fix.package }}
                    className="mono font-medium text-text no-underline hover:text-accent"
                  >
                    {fix.package}
                  </Link>
                ),
              },
              { id: "ecosystem", label: t("ecosystem"), cell: (fix) => fix.ecosystem },
              { id: "version", label: t("version"), cell: (fix) => <Version fix={fix} /> },
              { id: "worst", label: t("rating"), cell: (fix) => <Rating rating={fix.worst} /> },
              {
                id: "exploited",
                label: t("exploited"),
                end: true,
                cell: (fix) => (
                  <span className={fix.exploited > 0 ? "text-critical" : "text-text-3"}>{fix.exploited}</span>
                ),
              },
              { id: "hosts", label: t("hosts"), end: true, cell: (fix) => format.count(fix.hosts) },
              { id: "findings", label: t("findings"), end: true, cell: (fix) => format.count(fix.findings) },
              { id: "share", label: t("share"), end: true, cell: (fix) => format.percent(fix.share) },
            ]}
          />
        )
      }
    </Loaded>
  );
}

/** Groups, or hosts, beside each other. */
export function Compare({ state }: { state: VulnerabilitiesSearch }) {
  const t = useText(text);
  const format = useFormat();
  const [by, setBy] = useState<"group" | "host">("group");
  const query = useQuery(compareQuery(state, by));
  return (
    <div className="flex min-h-0 flex-col">
      <div className="px-4 py-3">
        <Segmented
          label={t("by")}
          value={by}
          onChange={setBy}
          tabs={[
            { value: "group", label: t("groups") },
            { value: "host", label: t("single") },
          ]}
        />
      </div>
      <Loaded query={query} rows={8}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={Group} title={t(by === "group" ? "noGroups" : "hostClean")} />
          ) : (
            <Table
              label={t("compare")}
              rows={items}
              rowId={(row) => row.host_id ?? row.name}
              heads={[
                {
                  id: "name",
                  label: t("name"),
                  cell: (row) =>
                    row.host_id ? (
                      <Link to="/hosts/$id" params={{ id: row.host_id }} search={{ tab: "vulnerabilities" }}>
                        {row.name}
                      </Link>
                    ) : (
                      <Link to="/vulnerabilities" search={{ group: row.name }}>
                        {row.name}
                      </Link>
                    ),
                },
                { id: "hosts", label: t("hosts"), end: true, cell: (row) => format.count(row.hosts) },
                { id: "open", label: t("open"), end: true, cell: (row) => format.count(row.open) },
                { id: "critical", label: t("critical"), end: true, cell: (row) => format.count(row.critical) },
                { id: "exploited", label: t("exploited"), end: true, cell: (row) => format.count(row.exploited) },
                { id: "overdue", label: t("overdue"), end: true, cell: (row) => format.count(row.overdue) },
                { id: "risk", label: t("risk"), end: true, cell: (row) => format.number(Math.round(row.risk)) },
              ]}
            />
          )
        }
      </Loaded>
    </div>
  );
}

function Stands({ exception }: { exception: Exception }) {
  const t = useText(text);
  const over = exception.state === "approved" && !exception.holds;
  const tone = exception.holds ? "good" : exception.state === "requested" ? "accent" : "neutral";
  return <Badge tone={tone}>{over ? t("expired") : t(exception.state as "approved")}</Badge>;
}

function Reach({ exception }: { exception: Exception }) {
  const t = useText(text);
  const name = exception.reach_name;
  if (exception.reach === "host") {
    return (
      <Link to="/hosts/$id" params={{ id: name }}>
        {t("reachHost")}
      </Link>
    );
  }
  if (exception.reach === "group") return t("reachGroup", { name });
  if (exception.reach === "image") return t("reachImage", { name });
  if (exception.reach === "tag") return t("reachTag", { name });
  return t("everyHost");
}

function Decide({ exception }: { exception: Exception }) {
  const t = useText(text);
  const approves = useCan("vulnerabilities:approve");
  const excepts = useCan("vulnerabilities:except");
  const refresh = useFreshen("vulnerabilities");
  const { act } = useAction();
  const params = { path: { id: exception.id } };
  const run = (what: "approve" | "refuse" | "end") => {
    const send = {
      approve: () => must(api.POST("/api/v1/vulnerability-exceptions/{id}/approve", { params })),
      refuse: () => must(api.POST("/api/v1/vulnerability-exceptions/{id}/refuse", { params })),
      end: () => must(api.POST("/api/v1/vulnerability-exceptions/{id}/end", { params })),
    }[what];
    void act(send, t("decided")).then(refresh);
  };
  const button = (what: "approve" | "refuse" | "end") => (
    <Button
      look="quiet"
      className="!h-7"
      aria-label={`${t(what)}: ${exception.vulnerability}`}
      onClick={() => run(what)}
    >
      {t(what)}
    </Button>
  );
  const asks = exception.state === "requested";
  return (
    <span className="inline-flex gap-1">
      {approves && asks && button("approve")}
      {approves && asks && button("refuse")}
      {excepts && (asks || exception.holds) && button("end")}
    </span>
  );
}

/** What is put up with, and what somebody asks for. */
export function Exceptions() {
  const t = useText(text);
  const query = useQuery(exceptionsQuery);
  return (
    <Loaded query={query} rows={6}>
      {({ items }) =>
        items.length === 0 ? (
          <Empty icon={ShieldCheck} title={t("noExceptions")}>
            {t("noExceptionsHint")}
          </Empty>
        ) : (
          <Table
            label={t("exceptions")}
            rows={items}
            rowId={(one) => one.id}
            heads={[
              { id: "vulnerability", label: t("vulnerability"), cell: (one) => <Name name={one.vulnerability} /> },
              { id: "package", label: t("package"), cell: (one) => one.package || t("everyPackage") },
              { id: "reach", label: t("reach"), cell: (one) => <Reach exception={one} /> },
              { id: "state", label: t("state"), cell: (one) => <Stands exception={one} /> },
              { id: "expires", label: t("expires"), cell: (one) => <At time={one.expires} /> },
              { id: "author", label: t("author"), cell: (one) => one.author },
              { id: "decided", label: t("decidedBy"), cell: (one) => one.decided_by ?? "–" },
              {
                id: "reason",
                label: t("reason"),
                cell: (one) => (
                  <span className="block max-w-80 truncate" title={one.reason}>
                    {one.reason}
                  </span>
                ),
              },
              { id: "actions", label: t("actions"), quiet: true, end: true, cell: (one) => <Decide exception={one} /> },
            ]}
          />
        )
      }
    </Loaded>
  );
}
