import type { QueryClient } from "@tanstack/react-query";
import type { PagedQuery } from "@/api/list";
import { argumentsOf, type Preset } from "@/pages/commands/actions";
import { type Command, commandsQuery, type Run, runQuery } from "@/pages/commands/data";

/** Something that a host was told to do, and how far it came with it. */
export interface Deed {
  command: Command;
  /** Where it is known: rows ask for theirs when they are in sight. */
  run?: Run | undefined;
}

/** What a host was told to do, newest first. */
export function deedsQuery(host: string, kind: string | undefined): PagedQuery<Deed> {
  const { queryKey, load } = commandsQuery({ host, kind });
  return {
    queryKey: [...queryKey, "deeds"],
    load: async (cursor) => {
      const { items, next_cursor } = await load(cursor);
      return { items: items.map((command) => ({ command })), next_cursor: next_cursor ?? null };
    },
  };
}

/**
 * How far the host came with a command. What has ended is asked for once, however much goes on elsewhere, and again only
 * when the command's own counts say that a late word came in.
 */
export function runHereQuery(command: Command, host: string) {
  const live = runQuery(command.id, host);
  const { queryFn } = live;
  // What is shown meanwhile, where the same run is asked for under the other name.
  const placeholderData = (before: Run | undefined) => (before?.command === command.id ? before : undefined);
  if (!command.ended) return { ...live, placeholderData };
  const queryKey = ["ended-runs", command.id, host, JSON.stringify(command.states)];
  return { queryKey, queryFn, placeholderData, staleTime: Number.POSITIVE_INFINITY };
}

/** Runs that are asked for at the same time. */
const RUNS_AT_ONCE = 6;

/** The deeds with their runs, in the same order. */
export async function withRuns(client: QueryClient, host: string, deeds: readonly Deed[]): Promise<Required<Deed>[]> {
  const found: Required<Deed>[] = [];
  for (let at = 0; at < deeds.length; at += RUNS_AT_ONCE) {
    const some = deeds.slice(at, at + RUNS_AT_ONCE).map(async ({ command }) => {
      const { queryKey, queryFn, staleTime } = { staleTime: 0, ...runHereQuery(command, host) };
      return { command, run: await client.fetchQuery({ queryKey, queryFn, staleTime }) };
    });
    found.push(...(await Promise.all(some)));
  }
  return found;
}

/** What may hold on a machine until something ends it. */
export const HOLDING = ["isolate", "block", "quarantine", "disable_user"] as const;
export type Holding = (typeof HOLDING)[number];
const ENDING = ["release", "unblock", "restore", "enable_user", "undo"] as const;

/** Something that holds on a host. */
export interface Held {
  kind: Holding;
  /** The address, file or account; empty for the isolation, of which there is one. */
  what: string;
  /** When it ends by itself; null for never. */
  until: number | null;
  command: Command;
  run: Run;
}

const plainId = (id: unknown): string => String(id ?? "").replaceAll("-", "");
const wordOf = (action: Record<string, unknown>, name: string): string => String(action[name] ?? "");

/** When something that holds for so long ends by itself, in milliseconds; null for never, or where nothing holds. */
export function endsAt({ command, run }: Required<Deed>): number | null {
  const seconds = Number((command.action as Record<string, unknown>).seconds ?? 0);
  const begun = run.begun ?? run.ended;
  if (command.dry_run || run.state !== "done" || !begun || !(seconds > 0)) return null;
  return Date.parse(begun) + seconds * 1000;
}

const when = ({ command, run }: Required<Deed>): number => Date.parse(run.ended ?? command.created);

/**
 * What holds on a host, from what it was told and answered, whichever way that is ordered. Rehearsals, and what was not
 * done, change nothing; what undoes something does what the outcome of that said would undo it.
 */
export function standingOf(deeds: readonly Required<Deed>[], now: number): Held[] {
  const done = deeds.filter(({ command, run }) => run.state === "done" && !command.dry_run);
  const held = new Map<string, Held>();
  const apply = (deed: Required<Deed>, action: Record<string, unknown>) => {
    const hold = (kind: Holding, key: string, what: string) => {
      held.delete(`${kind} ${key}`);
      held.set(`${kind} ${key}`, { kind, what, until: endsAt(deed), ...deed });
    };
    const kind = wordOf(action, "kind");
    const [name, address] = [wordOf(action, "name"), wordOf(action, "address")];
    if (kind === "isolate") hold(kind, "", "");
    else if (kind === "block") hold(kind, address, address);
    else if (kind === "quarantine") hold(kind, plainId(deed.run.id), wordOf(action, "path"));
    else if (kind === "disable_user") hold(kind, name, name);
    else if (kind === "release") held.delete("isolate ");
    else if (kind === "unblock") held.delete(`block ${address}`);
    else if (kind === "restore") held.delete(`quarantine ${plainId(action.command)}`);
    else if (kind === "enable_user") held.delete(`disable_user ${name}`);
    else if (kind === "undo") {
      const undone = done.find(({ run }) => plainId(run.id) === plainId(action.command));
      const undo = (undone?.run.outcome as { undo?: Record<string, unknown> | null } | null | undefined)?.undo;
      // What undoes is never an undoing itself.
      if (undone && undo && undo.kind !== "undo") apply(deed, undo);
    }
  };
  for (const deed of [...done].sort((a, b) => when(a) - when(b))) {
    apply(deed, deed.command.action as Record<string, unknown>);
  }
  const standing = [...held.values()].filter(({ until }) => until === null || until > now);
  return standing.sort((a, b) => HOLDING.indexOf(a.kind) - HOLDING.indexOf(b.kind));
}

/** Runs that are looked at to say what holds. */
const LOOKED_AT_MAX = 120;

/** Which commands can matter for what holds: none, where nothing that holds was ever done. */
export function mattering(commands: readonly Command[]): Command[] {
  const done = commands.filter(({ dry_run, states }) => !dry_run && (states.done ?? 0) > 0);
  const holding = done.filter(({ kind }) => (HOLDING as readonly string[]).includes(kind));
  const first = Math.min(...holding.map(({ created }) => Date.parse(created)));
  // One that waited for its host may have been done after what was given later.
  return done
    .filter((command) => holding.includes(command) || Date.parse(command.expires) >= first)
    .sort((a, b) => Date.parse(b.created) - Date.parse(a.created));
}

/** What decides what holds on a host; asked for by kind, so that it is found behind whatever else was done since. */
export function standingQuery(host: string) {
  return {
    queryKey: ["commands", "standing", host],
    queryFn: async ({ client }: { client: QueryClient }) => {
      const pages = await Promise.all([...HOLDING, ...ENDING].map((kind) => commandsQuery({ host, kind }).load(null)));
      const matter = mattering(pages.flatMap(({ items }) => items));
      const looked = matter.slice(0, LOOKED_AT_MAX);
      const deeds = await withRuns(
        client,
        host,
        looked.map((command) => ({ command })),
      );
      const cut = matter.length > looked.length || pages.some(({ next_cursor }) => Boolean(next_cursor));
      return { deeds, cut };
    },
  };
}

/** What ends something that holds, for the form of actions. */
export function endingOf(one: Held): Preset {
  if (one.kind === "block") return { kind: "unblock", values: { address: one.what } };
  if (one.kind === "quarantine") return { kind: "restore", values: { command: one.run.id } };
  if (one.kind === "disable_user") return { kind: "enable_user", values: { name: one.what } };
  return { kind: "release" };
}

/** The arguments of an action in one line, for an export. */
export function argumentsText(command: Command): string {
  return argumentsOf(command.action)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
