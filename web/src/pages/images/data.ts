import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
import type { ImageSearch, ImagesSearch } from "./search";

export type Image = Schema<"ImageView">;
export type ImageDetail = Schema<"ImageDetail">;
export type ImageVulnerability = Schema<"ImageVulnerability">;

const PAGE = 200;

function filterOf({ q, rating, only, distribution }: ImagesSearch) {
  return {
    ...(q ? { search: q } : {}),
    ...(rating ? { rating } : {}),
    ...(distribution ? { distribution } : {}),
    ...(only ? { [only]: true } : {}),
  };
}

export function imagesQuery(state: ImagesSearch): PagedQuery<Image> {
  const first = { ...filterOf(state), sort: state.sort ?? "risk", limit: PAGE };
  return {
    queryKey: ["images", "list", first],
    load: (cursor) => must(api.GET("/api/v1/images", { params: { query: cursor ? { cursor, limit: PAGE } : first } })),
  };
}

/** How many there are on all pages, and by which advisories. */
export function imageCountQuery(state: ImagesSearch) {
  const query = { ...filterOf(state), limit: 1 };
  return {
    queryKey: ["images", "count", query],
    queryFn: () => must(api.GET("/api/v1/images", { params: { query } })),
  };
}

export function imageQuery(id: string) {
  return {
    queryKey: ["images", "one", id],
    queryFn: () => must(api.GET("/api/v1/images/{id}", { params: { path: { id } } })),
    // It is judged some seconds after it was sent.
    refetchInterval: 10_000,
  };
}

export function imageFindingsQuery(id: string, { tab, q, part }: ImageSearch): PagedQuery<ImageVulnerability> {
  const first = {
    state: tab === "past" ? "open,excepted,fixed,withdrawn" : "open,excepted",
    ...(q ? { search: q } : {}),
    ...(part ? { base: part === "base" } : {}),
    limit: PAGE,
  };
  return {
    queryKey: ["images", "findings", id, first],
    load: (cursor) =>
      must(
        api.GET("/api/v1/images/{id}/vulnerabilities", {
          params: { path: { id }, query: cursor ? { cursor, limit: PAGE } : first },
        }),
      ),
  };
}
