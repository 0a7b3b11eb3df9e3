/**
 * What a person keeps between visits, by name: theme and language, columns, the arrangement of a page. It lives in the
 * browser, so that it holds at once, and with the account, so that other browsers follow. The account's word counts,
 * except for what was changed here and could not be sent yet.
 */
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { api, must, Problem } from "@/api/client";

/** What the account holds, as the API tells it. */
interface Account {
  version: number;
  value: object;
}
type Values = Readonly<Record<string, unknown>>;

interface State {
  /** Whose it is; null before anybody signed in here. */
  owner: string | null;
  /** The version of the account's that was seen last. */
  version: number;
  values: Values;
  /** Names that were changed here since. */
  unsent: readonly string[];
}

const KEY = "guardian.kept";
const NOTHING: State = { owner: null, version: 0, values: {}, unsent: [] };
/** Several changes in a row are one request. */
const PAUSE_MS = 500;
const ATTEMPTS_MAX = 4;
/** Kept when somebody signs in who never chose: how the sign-in page looked. */
const BROWSERS_OWN = "preferences";

function load(): State {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "null") as Partial<State> | null;
    return stored && typeof stored.values === "object" && stored.values !== null ? { ...NOTHING, ...stored } : NOTHING;
  } catch {
    return NOTHING;
  }
}

let state: State = load();
let timer: ReturnType<typeof setTimeout> | null = null;
const waiting = new Set<() => void>();

function set(next: State): void {
  state = next;
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // A browser that stores nothing still shows the console; what is kept then lasts until the next load.
  }
  for (const wake of waiting) wake();
}

function pick(values: Values, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.filter((name) => name in values).map((name) => [name, values[name]]));
}

/** What is kept under a name, as it was stored. */
export function kept(name: string): unknown {
  return state.values[name];
}

/** Keeps a value, here at once and with the account soon. It must be JSON. */
export function keep(name: string, value: unknown): void {
  const unsent = state.owner === null || state.unsent.includes(name) ? state.unsent : [...state.unsent, name];
  set({ ...state, values: { ...state.values, [name]: value }, unsent });
  schedule();
}

/** Takes over what the account of the person who is signed in holds. */
export function adopt(owner: string, account: Account): void {
  const theirs = account.value as Values;
  if (state.owner !== owner) {
    const own = BROWSERS_OWN in theirs ? {} : pick(state.values, [BROWSERS_OWN]);
    set({ owner, version: account.version, values: { ...own, ...theirs }, unsent: [] });
  } else if (account.version > state.version) {
    set({ ...state, version: account.version, values: { ...theirs, ...pick(state.values, state.unsent) } });
  }
  schedule();
}

function schedule(): void {
  if (state.owner === null || state.unsent.length === 0) return;
  if (timer !== null) clearTimeout(timer);
  timer = setTimeout(() => {
    timer = null;
    void send();
  }, PAUSE_MS);
}

/** Sends what was changed here. What another browser changed meanwhile stays. */
async function send(): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const { owner, values, version, unsent } = state;
    if (owner === null || unsent.length === 0) return;
    try {
      const body = { version, value: values as Record<string, never> };
      const saved = await must(api.PUT("/api/v1/preferences", { body }));
      if (state.owner !== owner) return;
      const left = state.unsent.filter((name) => state.values[name] !== values[name]);
      set({ ...state, version: saved.version, unsent: left });
      return schedule();
    } catch (error) {
      // What is not sent now goes with the next change or the next visit.
      if (!(error instanceof Problem) || error.kind !== "version-conflict") return;
      const account = await must(api.GET("/api/v1/preferences")).catch(() => null);
      if (!account || state.owner !== owner) return;
      const theirs = account.value as Values;
      set({ ...state, version: account.version, values: { ...theirs, ...pick(state.values, state.unsent) } });
    }
  }
}

if (typeof addEventListener === "function") {
  // Another tab of this browser changed something.
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    state = load();
    for (const wake of waiting) wake();
  });
  addEventListener("online", schedule);
  // Whoever closes the page right after a choice has chosen all the same.
  addEventListener("pagehide", () => {
    if (timer !== null) void send();
  });
}

export function watchKept(wake: () => void): () => void {
  waiting.add(wake);
  return () => waiting.delete(wake);
}

/**
 * What is kept under a name, and its setter. `read` makes a sound value of whatever is stored, or of nothing; it must be
 * a function that stays the same.
 */
export function useKept<T>(name: string, read: (stored: unknown) => T): [value: T, choose: (next: T) => void] {
  const stored = useSyncExternalStore(watchKept, () => kept(name));
  const value = useMemo(() => read(stored), [read, stored]);
  const choose = useCallback((next: T) => keep(name, next), [name]);
  return [value, choose];
}

/** For tests: as if this browser had never been used. */
export function forget(): void {
  if (timer !== null) clearTimeout(timer);
  timer = null;
  set(NOTHING);
}
