import { useMemo } from "react";
import { useText } from "@/app/preferences";
import type { ImageVulnerability } from "@/pages/images/data";
import { text } from "@/pages/images/strings";
import { Due, Fixes, Name, Rating, Risk, Standing } from "@/pages/vulnerabilities/parts";
import { Badge } from "@/ui/badge";
import type { Column } from "@/ui/grid/column";
import { Ago } from "@/ui/time";

const installed = (row: ImageVulnerability) =>
  row.installed.map(({ name, version }) => `${name} ${version}`).join(", ");

/** Which layer brought it, whose that is, and the step that made it. */
function Layer({ row }: { row: ImageVulnerability }) {
  const t = useText(text);
  if (row.layer == null) return <span className="text-text-3">–</span>;
  return (
    <span className="flex min-w-0 items-center gap-2" title={`${row.layer_digest ?? ""}\n${row.made_by ?? ""}`}>
      <span className="num">{row.layer + 1}</span>
      {row.base != null && <Badge tone={row.base ? "neutral" : "accent"}>{t(row.base ? "base" : "own")}</Badge>}
      <span className="mono truncate text-xs text-text-3">{row.made_by}</span>
    </span>
  );
}

/** Columns of what is wrong with an image. */
export function useImageFindingColumns(): readonly Column<ImageVulnerability>[] {
  const t = useText(text);
  return useMemo<readonly Column<ImageVulnerability>[]>(
    () => [
      {
        id: "vulnerability",
        label: t("vulnerability"),
        width: 200,
        grow: 1,
        fixed: true,
        cell: (row) => <Name name={row.vulnerability} exploited={row.detail?.exploited} />,
        value: (row) => row.vulnerability,
      },
      {
        id: "rating",
        label: t("rating"),
        width: 104,
        grow: 0,
        cell: (row) => <Rating rating={row.detail?.rating} />,
        value: (row) => row.detail?.rating,
      },
      {
        id: "risk",
        label: t("risk"),
        width: 110,
        grow: 0,
        end: true,
        cell: (row) => <Risk risk={row.risk} />,
        value: (row) => row.risk,
      },
      {
        id: "installed",
        label: t("installed"),
        width: 190,
        grow: 1,
        cell: (row) => (
          <span className="mono truncate" title={row.installed.flatMap(({ places }) => places).join("\n")}>
            {installed(row) || row.package}
          </span>
        ),
        value: installed,
      },
      {
        id: "fix",
        label: t("fix"),
        width: 120,
        grow: 1,
        cell: (row) => <Fixes versions={row.detail?.fixed_in} />,
        value: (row) => row.detail?.fixed_in.join(" "),
      },
      {
        id: "layer",
        label: t("layer"),
        width: 220,
        grow: 2,
        cell: (row) => <Layer row={row} />,
        value: (row) => (row.layer == null ? null : row.layer + 1),
      },
      {
        id: "state",
        label: t("state"),
        width: 110,
        grow: 0,
        cell: (row) => <Standing state={row.state} />,
        value: (row) => row.state,
      },
      {
        id: "first_seen",
        label: t("firstSeen"),
        width: 116,
        grow: 0,
        end: true,
        cell: (row) => <Ago time={row.first_seen} />,
        value: (row) => row.first_seen,
      },
      {
        id: "due",
        label: t("due"),
        width: 130,
        grow: 0,
        end: true,
        cell: (row) => <Due due={row.due} overdue={row.overdue} />,
        value: (row) => row.due,
      },
    ],
    [t],
  );
}
