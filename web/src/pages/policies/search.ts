import { search } from "@/app/search";

export const policiesSearch = search({ q: "text", sort: "text", view: ["order"] });
export type PoliciesSearch = ReturnType<typeof policiesSearch>;
