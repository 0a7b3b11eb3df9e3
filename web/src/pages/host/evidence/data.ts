import { api, must, type Schema } from "@/api/client";

export type Baseline = Schema<"HostBaselineView">;
export type BaselineChange = Schema<"BaselineChange">;
export type Pack = Schema<"EvidencePackView">;

export function baselinesQuery(id: string) {
  return {
    queryKey: ["host-evidence", id, "baselines"],
    queryFn: () => must(api.GET("/api/v1/hosts/{id}/baselines", { params: { path: { id } } })),
    refetchInterval: 30_000,
  };
}

export function changesQuery(id: string, number: number) {
  return {
    queryKey: ["host-evidence", id, "changes", number],
    queryFn: () =>
      must(
        api.GET("/api/v1/hosts/{id}/baselines/{number}/changes", { params: { path: { id, number: String(number) } } }),
      ),
  };
}

export const proofOf = (id: string, number: number) =>
  must(api.GET("/api/v1/hosts/{id}/baselines/{number}/proof", { params: { path: { id, number: String(number) } } }));

export function packsQuery(id: string) {
  return {
    queryKey: ["host-evidence", id, "packs"],
    queryFn: () => must(api.GET("/api/v1/hosts/{id}/evidence", { params: { path: { id } } })),
    refetchInterval: 30_000,
  };
}

/** What of a file is worth a line: of content its hash, of other things their values. */
export function shownValue(side: BaselineChange["before"], properties: readonly string[]): string {
  if (!side) return "";
  const values: Record<string, string> = {
    kind: side.kind,
    content: (side.sha256 ?? side.blake3 ?? "").slice(0, 16),
    mode: side.mode,
    owner: `${side.uid}:${side.gid}`,
    target: side.target ?? "",
    attributes: side.attributes.join(" "),
    size: String(side.size),
  };
  return properties.map((property) => values[property] ?? "").join(", ");
}
