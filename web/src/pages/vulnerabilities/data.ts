import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";
import { SORTS, type VulnerabilitiesSearch } from "./search";

export type Vulnerability = Schema<"VulnerabilityView">;
export type HostVulnerability = Schema<"HostVulnerability">;
export type Fix = Schema<"FixView">;
export type Summary = Schema<"VulnerabilitySummary">;
export type Compared = Schema<"ComparisonRow">;
export type Exception = Schema<"VulnerabilityException">;

const PAGE = 200;

/** What figures and lists are of, as far as hosts are concerned. */
const ofHosts = (state: VulnerabilitiesSearch) => ({
  ...(state.group ? { group: state.group } : {}),
  ...(state.tag ? { tag: state.tag } : {}),
});

/** The query of the API that belongs to the state in the URL. */
export function filterOf(state: VulnerabilitiesSearch) {
  return {
    ...ofHosts(state),
    ...(state.q ? { search: state.q } : {}),
    ...(state.rating ? { rating: state.rating } : {}),
    ...(state.package ? { package: state.package } : {}),
    ...(state.only ? { [state.only]: true } : {}),
  };
}

/** An order that the API knows; a table may ask for one the other way round, which none of these has. */
export function sortOf(state: VulnerabilitiesSearch): string {
  return SORTS.find((sort) => sort === state.sort) ?? "risk";
}

export function vulnerabilitiesQuery(state: VulnerabilitiesSearch): PagedQuery<Vulnerability> {
  const first = { ...filterOf(state), sort: sortOf(state), limit: PAGE };
  return {
    queryKey: ["vulnerabilities", "list", first],
    load: (cursor) =>
      must(api.GET("/api/v1/vulnerabilities", { params: { query: cursor ? { cursor, limit: PAGE } : first } })),
  };
}

/** How many there are on all pages, and by which advisories. */
export function countQuery(state: VulnerabilitiesSearch) {
  const query = { ...filterOf(state), limit: 1 };
  return {
    queryKey: ["vulnerabilities", "count", query],
    queryFn: () => must(api.GET("/api/v1/vulnerabilities", { params: { query } })),
  };
}

export function hostRowsQuery(query: {
  host?: string;
  vulnerability?: string;
  state?: string;
  search?: string;
}): PagedQuery<HostVulnerability> {
  const first = { ...query, limit: PAGE };
  return {
    queryKey: ["vulnerabilities", "hosts", first],
    load: (cursor) =>
      must(api.GET("/api/v1/vulnerabilities/hosts", { params: { query: cursor ? { cursor, limit: PAGE } : first } })),
  };
}

export function summaryQuery(state: VulnerabilitiesSearch, host?: string) {
  const query = { ...ofHosts(state), ...(host ? { host } : {}), days: 60 };
  return {
    queryKey: ["vulnerabilities", "summary", query],
    queryFn: () => must(api.GET("/api/v1/vulnerabilities/summary", { params: { query } })),
  };
}

export function fixesQuery(state: VulnerabilitiesSearch, host?: string) {
  const query = { ...ofHosts(state), ...(host ? { host } : {}), limit: 200 };
  return {
    queryKey: ["vulnerabilities", "fixes", query],
    queryFn: () => must(api.GET("/api/v1/vulnerabilities/fixes", { params: { query } })),
  };
}

export function compareQuery(state: VulnerabilitiesSearch, by: "group" | "host") {
  const query = { ...ofHosts(state), by, limit: 200 };
  return {
    queryKey: ["vulnerabilities", "compare", query],
    queryFn: () => must(api.GET("/api/v1/vulnerabilities/compare", { params: { query } })),
  };
}

export const exceptionsQuery = {
  queryKey: ["vulnerabilities", "exceptions"],
  queryFn: () => must(api.GET("/api/v1/vulnerability-exceptions")),
};

export const settingsQuery = {
  queryKey: ["vulnerability-settings"],
  queryFn: () => must(api.GET("/api/v1/vulnerability-settings")),
};

export function exposureQuery(host: string) {
  return {
    queryKey: ["vulnerabilities", "exposure", host],
    queryFn: () => must(api.GET("/api/v1/hosts/{id}/exposure", { params: { path: { id: host } } })),
  };
}

export function advisoryQuery(name: string) {
  return {
    queryKey: ["vulnerabilities", "one", name],
    queryFn: () => must(api.GET("/api/v1/vulnerabilities/advisories/{name}", { params: { path: { name } } })),
  };
}
