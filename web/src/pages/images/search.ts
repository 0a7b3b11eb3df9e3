import { search } from "@/app/search";

export const RATINGS = ["critical", "high", "medium", "low"] as const;
export const ONLY = ["exploited", "fixable", "running"] as const;
export const SORTS = ["risk", "open", "name", "sent", "hosts"] as const;

/** The state of the list of images, as it stands in the URL. */
export const imagesSearch = search({ q: "text", rating: RATINGS, only: ONLY, distribution: "text", sort: SORTS });
export type ImagesSearch = ReturnType<typeof imagesSearch>;

export const TABS = ["list", "past", "fixes", "layers", "history"] as const;
export const PARTS = ["own", "base"] as const;

/** The state of the page of an image. */
export const imageSearch = search({ tab: TABS, q: "text", part: PARTS });
export type ImageSearch = ReturnType<typeof imageSearch>;
