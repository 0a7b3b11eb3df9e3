import { useQuery } from "@tanstack/react-query";
import { PackageCheck, Plus } from "lucide-react";
import { useState } from "react";
import { api, must } from "@/api/client";
import { useFreshen } from "@/api/list";
import { useAction } from "@/app/action";
import { useText } from "@/app/preferences";
import { useCan } from "@/app/session";
import { useFormat } from "@/i18n/format";
import { Badge } from "@/ui/badge";
import { Button } from "@/ui/button";
import { Confirm } from "@/ui/overlay";
import { Empty, Loaded } from "@/ui/state";
import { Table } from "@/ui/table";
import { Ago } from "@/ui/time";
import { type Release, releasesQuery } from "./data";
import { text } from "./strings";

/** The signed programs that are here. */
export function Releases({ onAdd }: { onAdd: () => void }) {
  const t = useText(text);
  const format = useFormat();
  const may = useCan("hosts:upgrade");
  const refresh = useFreshen("releases", "install-kit");
  const { act } = useAction();
  const query = useQuery(releasesQuery);
  const [leaving, setLeaving] = useState<Release | null>(null);
  const heads = [
    {
      id: "version",
      label: t("version"),
      cell: (release: Release) => (
        <span className="flex items-center gap-2 font-medium">
          {release.version}
          {release.withdrawn && <Badge>{t("withdrawn")}</Badge>}
        </span>
      ),
    },
    {
      id: "platform",
      label: t("platform"),
      cell: (release: Release) => `${release.platform} ${release.architecture}`,
    },
    { id: "notes", label: t("notes"), cell: (release: Release) => release.notes || "–" },
    { id: "size", label: t("size"), end: true, cell: (release: Release) => format.bytes(release.size) },
    {
      id: "sha256",
      label: t("hash"),
      cell: (release: Release) => (
        <span className="mono text-xs" title={release.sha256}>
          {release.sha256.slice(0, 16)}…
        </span>
      ),
    },
    {
      id: "key",
      label: t("key"),
      cell: (release: Release) => (
        <span className="mono text-xs" title={release.key}>
          {release.key.slice(0, 12)}…
        </span>
      ),
    },
    { id: "author", label: t("author"), cell: (release: Release) => release.author },
    { id: "added", label: t("added"), end: true, cell: (release: Release) => <Ago time={release.added} /> },
    ...(may
      ? [
          {
            id: "withdraw",
            label: t("withdrawAction"),
            quiet: true,
            end: true,
            cell: (release: Release) =>
              !release.withdrawn && (
                <Button look="quiet" className="!h-7" onClick={() => setLeaving(release)}>
                  {t("withdraw")}
                </Button>
              ),
          },
        ]
      : []),
  ];
  return (
    <Loaded query={query}>
      {(releases) =>
        releases.length === 0 ? (
          <Empty
            icon={PackageCheck}
            title={t("noRelease")}
            action={
              may && (
                <Button look="primary" icon={Plus} onClick={onAdd}>
                  {t("add")}
                </Button>
              )
            }
          >
            {t("noReleaseHint")}
          </Empty>
        ) : (
          <>
            <Table label={t("releases")} rows={releases} rowId={(release) => release.id} heads={heads} />
            <Confirm
              open={leaving !== null}
              onClose={() => setLeaving(null)}
              title={t("withdrawTitle", { version: leaving?.version ?? "" })}
              description={t("withdrawHint")}
              action={t("withdrawAction")}
              danger
              onConfirm={async () => {
                if (!leaving) return;
                const params = { path: { id: leaving.id } };
                await act(() => must(api.DELETE("/api/v1/agent-releases/{id}", { params })), t("withdrawDone"));
                refresh();
              }}
            />
          </>
        )
      }
    </Loaded>
  );
}
