import { useCallback } from "react";
import { text as entities } from "@/pages/entity/strings";
import { text as incidents } from "@/pages/incidents/strings";
import { isSeverity } from "@/ui/badge";
import { text as ui } from "@/ui/strings";
import type { Found } from "./found";
import { useText } from "./preferences";

/** What stands beside a thing that was found, in the words of the console: the server tells it in its own. */
export function useFoundDetail(): (found: Found) => string {
  const e = useText(entities);
  const i = useText(incidents);
  const u = useText(ui);
  return useCallback(
    (found) => {
      if (found.kind === "entity") {
        const kind = found.id.split("/")[0] ?? "";
        return kind in entities ? e(kind as "ip") : found.detail;
      }
      if (found.kind === "rule" && isSeverity(found.detail)) return u(found.detail);
      if (found.kind !== "incident") return found.detail;
      return found.detail
        .split(", ")
        .map((word) => (isSeverity(word) ? u(word) : word in incidents ? i(word as "new") : word))
        .join(" · ");
    },
    [e, i, u],
  );
}
