import { api, must, type Schema } from "@/api/client";
import type { PagedQuery } from "@/api/list";

export type Command = Schema<"CommandView">;
export type Run = Schema<"CommandRunView">;

const PAGE = 100;
/** In the order in which they follow one another. */
export const RUN_STATES = ["queued", "sent", "running", "done", "failed", "refused", "expired", "cancelled"] as const;
export type RunState = (typeof RUN_STATES)[number];
const OPEN: readonly string[] = ["queued", "sent", "running"];

export function commandsQuery(state: { host?: string | undefined; kind?: string | undefined }): PagedQuery<Command> {
  const first = {
    ...(state.host ? { host: state.host } : {}),
    ...(state.kind ? { kind: state.kind } : {}),
    limit: PAGE,
  };
  return {
    queryKey: ["commands", "list", first],
    load: (cursor) =>
      must(api.GET("/api/v1/commands", { params: { query: cursor ? { cursor, limit: PAGE } : first } })),
  };
}

export function commandQuery(id: string) {
  return {
    queryKey: ["commands", "one", id],
    queryFn: () => must(api.GET("/api/v1/commands/{id}", { params: { path: { id } } })),
  };
}

export function runsQuery(id: string, state?: string): PagedQuery<Run> {
  const first = { ...(state ? { state } : {}), limit: PAGE };
  return {
    queryKey: ["commands", "runs", id, first],
    load: (cursor) =>
      must(
        api.GET("/api/v1/commands/{id}/hosts", {
          params: { path: { id }, query: cursor ? { cursor, limit: PAGE } : first },
        }),
      ),
  };
}

export function runQuery(id: string, host: string) {
  return {
    queryKey: ["commands", "run", id, host],
    queryFn: () => must(api.GET("/api/v1/commands/{id}/hosts/{host}", { params: { path: { id, host } } })),
  };
}

/** What hosts collected for a command. */
export function packsQuery(id: string) {
  return {
    queryKey: ["commands", "evidence", id],
    queryFn: () => must(api.GET("/api/v1/commands/{id}/evidence", { params: { path: { id } } })),
  };
}

/** Whether a host that is so far has more to say. */
export const isOpen = (state: string): boolean => OPEN.includes(state);

/** How far one host of a command is: as its run says, or as all of them are; null where only the run can tell. */
export function stateOn(command: Pick<Command, "states">, run: Run | undefined): string | null {
  if (run) return run.state;
  const states = Object.keys(command.states);
  return states.length === 1 ? (states[0] ?? null) : null;
}

/** How many hosts have nothing more to say. */
export function endedHosts(command: Pick<Command, "states">): number {
  return Object.entries(command.states).reduce((sum, [state, n]) => (isOpen(state) ? sum : sum + n), 0);
}

/** What an agent said at the end, as far as it is understood here. */
export interface Outcome {
  steps: { verb: string; target: string; note: string }[];
  denied: string | null;
  undo: boolean;
  collected: boolean;
}

export function outcomeOf(run: Run): Outcome {
  const said = (run.outcome ?? {}) as Record<string, unknown>;
  const steps = Array.isArray(said.steps) ? (said.steps as Partial<Outcome["steps"][number]>[]) : [];
  return {
    steps: steps.map(({ verb = "", target = "", note = "" }) => ({ verb, target, note })),
    denied: typeof said.denied === "string" && said.denied !== "other" ? said.denied : null,
    undo: said.undo !== null && said.undo !== undefined,
    collected: said.pack !== null && said.pack !== undefined,
  };
}
