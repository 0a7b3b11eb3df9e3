import { search } from "@/app/search";

export const TOKEN_STATES = ["active", "expired", "used_up", "revoked"] as const;

export const enrolmentSearch = search({ q: "text", status: TOKEN_STATES, sort: "text" });
export type EnrolmentSearch = ReturnType<typeof enrolmentSearch>;
