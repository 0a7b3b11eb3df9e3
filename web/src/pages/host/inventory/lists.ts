import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";

/** An entry of a list; which members it has depends on the list. */
export type Entry = Readonly<Record<string, unknown>>;
export type ListView = Schema<"InventoryListView">;

/** A change of the inventory, with the columns of the table `changes`. */
export interface Change {
  time: string;
  activity: string;
  list: string;
  name?: string | null;
  user?: string | null;
  path?: string | null;
  version?: string | null;
  old_version?: string | null;
  entry?: string | null;
  old_entry?: string | null;
}

/** The lists in the order in which they are offered, each with the members that are columns at first. */
export const LISTS: Readonly<Record<string, readonly string[]>> = {
  packages: ["name", "version", "kind", "architecture", "licences", "vendor", "size_bytes", "installed_s"],
  libraries: ["name", "version", "kind", "path", "licences"],
  services: ["name", "kind", "state", "enabled", "user", "command_line", "description"],
  ports: ["port", "protocol", "address", "everywhere", "process", "user", "unit"],
  users: ["name", "user", "uid", "home", "shell", "password", "changed_day", "comment"],
  groups: ["name", "gid", "user"],
  keys: ["user", "kind", "bits", "fingerprint", "comment", "options", "path"],
  sudoers: ["user", "run_as", "command_line", "no_password", "hosts", "path"],
  cron: ["when", "user", "command_line", "kind", "path"],
  firewall: ["kind", "name", "action", "from", "to", "protocol", "ports", "risk", "chain"],
  interfaces: ["name", "kind", "state", "addresses", "mac", "mtu"],
  routes: ["name", "gateway", "interface", "metric", "kind"],
  resolvers: ["kind", "name", "value", "path"],
  tunnels: ["kind", "name", "state", "remote", "address", "port", "networks"],
  containers: ["name", "image", "state", "kind", "privileged", "ports"],
  certificates: ["subject", "issuer", "until_s", "names", "path"],
  disks: ["name", "kind", "device", "filesystem", "size_bytes", "model", "encryption", "path"],
  modules: ["name", "size_bytes", "taint"],
  system: ["kind", "name", "version", "vendor", "value", "description"],
};

/** Lists by the order above; what is not known there comes after. */
export function inOrder(lists: readonly ListView[]): ListView[] {
  const names = Object.keys(LISTS);
  const place = ({ list }: ListView) => {
    const index = names.indexOf(list);
    return index < 0 ? names.length : index;
  };
  return [...lists].sort((a, b) => place(a) - place(b) || a.list.localeCompare(b.list));
}

/** The members that any of some entries has: those of the list first, then others as they come. */
export function membersOf(list: string, entries: readonly Entry[]): string[] {
  const found = new Set<string>();
  for (const entry of entries) for (const name of Object.keys(entry)) if (filledIn(entry[name])) found.add(name);
  const first = (LISTS[list] ?? []).filter((name) => found.delete(name));
  return [...first, ...found];
}

export function filledIn(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0);
}

const DAY_S = 86_400;

/** A value as a time where its member says that it is one. */
export function timeOf(member: string, value: unknown): Date | null {
  if (typeof value !== "number" || value <= 0) return null;
  if (member.endsWith("_s")) return new Date(value * 1000);
  if (member.endsWith("_day")) return new Date(value * DAY_S * 1000);
  return null;
}

/** The members in which two states of an entry differ, with both values. */
export function differences(
  before: Entry | null,
  now: Entry | null,
): [member: string, before: unknown, now: unknown][] {
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(now ?? {})]);
  return [...names]
    .map((name): [string, unknown, unknown] => [name, before?.[name], now?.[name]])
    .filter(([, a, b]) => JSON.stringify(a ?? null) !== JSON.stringify(b ?? null));
}

/** An entry as the table `changes` keeps it: JSON. */
export function entryOf(text: string | null | undefined): Entry | null {
  if (!text) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Entry) : null;
  } catch {
    return null;
  }
}

export function listsQuery(id: string) {
  return {
    queryKey: ["inventory", id, "lists"],
    queryFn: () => must(api.GET("/api/v1/hosts/{id}/inventory", { params: { path: { id } } })).then((all) => all.items),
    refetchInterval: 30_000,
  };
}

const PAGE = 500;

export function entriesQuery(id: string, { list, hash }: ListView, search: string | undefined): PagedQuery<Entry> {
  const first = { ...(search ? { search } : {}), limit: PAGE };
  return {
    // The hash is another one when the list is.
    queryKey: ["inventory", id, "entries", list, hash, search ?? ""],
    load: async (cursor) => {
      const query = cursor ? { cursor, limit: PAGE } : first;
      const path = { id, list };
      const page = await must(api.GET("/api/v1/hosts/{id}/inventory/{list}", { params: { path, query } }));
      return { items: page.items as unknown as Entry[], next_cursor: page.next_cursor ?? null };
    },
  };
}

export function changesQuery(id: string, list: string) {
  return {
    queryKey: ["inventory", id, "changes", list],
    queryFn: async () => {
      const query = { list, limit: 500 };
      const said = await must(api.GET("/api/v1/hosts/{id}/changes", { params: { path: { id }, query } }));
      return { items: said.items as unknown as Change[], more: said.more };
    },
  };
}
