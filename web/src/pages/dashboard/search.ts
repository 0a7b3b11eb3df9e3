import { RANGES } from "@/app/range";
import { search } from "@/app/search";

export const dashboardSearch = search({ range: RANGES });
