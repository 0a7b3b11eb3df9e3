import { Layers, PackageCheck } from "lucide-react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import type { ImageDetail } from "@/pages/images/data";
import { text } from "@/pages/images/strings";
import { Rating } from "@/pages/vulnerabilities/parts";
import { Badge } from "@/ui/badge";
import { Empty } from "@/ui/state";
import { Table } from "@/ui/table";
import { At } from "@/ui/time";

/** The updates that take the most risk away. */
export function ImageFixes({ detail }: { detail: ImageDetail }) {
  const t = useText(text);
  const format = useFormat();
  if (detail.fixes.length === 0) return <Empty icon={PackageCheck} title={t("noFixes")} />;
  return (
    <Table
      label={t("fixes")}
      rows={detail.fixes}
      rowId={(fix) => `${fix.ecosystem} ${fix.package}`}
      heads={[
        { id: "package", label: t("package"), cell: (fix) => <span className="mono font-medium">{fix.package}</span> },
        { id: "ecosystem", label: t("distribution"), cell: (fix) => fix.ecosystem },
        { id: "version", label: t("version"), cell: (fix) => <span className="mono">{fix.version}</span> },
        { id: "worst", label: t("rating"), cell: (fix) => <Rating rating={fix.worst} /> },
        {
          id: "exploited",
          label: t("exploited"),
          end: true,
          cell: (fix) => <span className={fix.exploited > 0 ? "text-critical" : "text-text-3"}>{fix.exploited}</span>,
        },
        { id: "findings", label: t("vulnerabilities"), end: true, cell: (fix) => format.count(fix.vulnerabilities) },
        { id: "share", label: t("share"), end: true, cell: (fix) => format.percent(fix.share) },
      ]}
    />
  );
}

/** Its layers, the lowest first, and what each brought. */
export function ImageLayers({ detail }: { detail: ImageDetail }) {
  const t = useText(text);
  const format = useFormat();
  if (detail.layers.length === 0) {
    return (
      <Empty icon={Layers} title={t("noLayers")}>
        {t("noLayersHint")}
      </Empty>
    );
  }
  const rows = detail.layers.map((layer, index) => ({ ...layer, number: index + 1 }));
  return (
    <Table
      label={t("layers")}
      rows={rows}
      rowId={({ number }) => String(number)}
      heads={[
        { id: "number", label: t("number"), end: true, cell: ({ number }) => number },
        {
          id: "base",
          label: t("part"),
          cell: ({ base }) =>
            base == null ? "–" : <Badge tone={base ? "neutral" : "accent"}>{t(base ? "base" : "own")}</Badge>,
        },
        {
          id: "made",
          label: t("madeBy"),
          cell: (layer) => (
            <span className="mono block max-w-[56ch] truncate text-xs" title={`${layer.digest}\n${layer.made_by}`}>
              {layer.made_by || layer.digest}
            </span>
          ),
        },
        { id: "packages", label: t("packages"), end: true, cell: (layer) => format.count(layer.packages) },
        { id: "open", label: t("open"), end: true, cell: (layer) => format.count(layer.open) },
      ]}
    />
  );
}

/** The digests that it had, the newest first. */
export function ImageHistory({ detail }: { detail: ImageDetail }) {
  const t = useText(text);
  const format = useFormat();
  return (
    <Table
      label={t("history")}
      rows={detail.history}
      rowId={(one) => `${one.digest} ${one.first}`}
      heads={[
        {
          id: "digest",
          label: t("digest"),
          cell: (one) => (
            <span className="flex items-center gap-2">
              <span className="mono text-xs">{one.digest || t("unknown")}</span>
              {one === detail.history[0] && <Badge tone="accent">{t("now")}</Badge>}
            </span>
          ),
        },
        { id: "first", label: t("first"), cell: (one) => <At time={one.first} /> },
        { id: "last", label: t("last"), cell: (one) => <At time={one.last} /> },
        { id: "sender", label: t("sender"), cell: (one) => one.sender },
        { id: "packages", label: t("packages"), end: true, cell: (one) => format.count(one.packages) },
      ]}
    />
  );
}
