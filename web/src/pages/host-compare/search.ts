import { search } from "@/app/search";

/** Two hosts, by id. */
export const compareSearch = search({ a: "text", b: "text", same: "flag" });
