import { RANGES } from "@/app/range";
import { search } from "@/app/search";

export const ACTOR_KINDS = ["user", "api_key", "local_operator", "system", "anonymous"] as const;

export const auditSearch = search({ q: "text", action: "text", kind: ACTOR_KINDS, range: RANGES });
export type AuditState = ReturnType<typeof auditSearch>;
