import { search } from "@/app/search";

export const policySearch = search({ tab: ["versions"] });
