import { api, must, type Schema } from "@/api/client";

type Page = Schema<"LiveRowList">;
type Value = unknown;

/** Rows of one page, and rows that are kept in the browser at most: what is longer is for an export, or for programs. */
const PAGE = 2_000;
export const ROWS_SHOWN_MAX = 100_000;
/** What comes within this time is fetched together. */
const GATHER_MS = 250;
/** Widths of columns, in pixels, and of one letter. */
const WIDTH = { min: 84, max: 420, letter: 7.5, room: 28 };
/** Rows that the width of a column is judged by. */
const SAMPLE = 60;

/** A row as a host answered it. */
export interface AnswerRow {
  n: number;
  host: string;
  host_name: string;
  values: Readonly<Record<string, Value>>;
}

/** A column of at least one of the hosts. */
export interface AnswerColumn {
  id: string;
  width: number;
  /** It holds numbers. */
  end: boolean;
}

/** What is known of an answer so far. */
export interface AnswerState {
  rows: readonly AnswerRow[];
  columns: readonly AnswerColumn[];
  /** Whether anything was heard at all. */
  ready: boolean;
  /** There may be more to fetch right now. */
  more: boolean;
  loading: boolean;
  /** Nothing more will come. */
  complete: boolean;
  /** There is more than is kept here. */
  cut: boolean;
  error: unknown;
}

/** Names of columns, each once: a statement may answer two of the same name. */
export function distinct(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name} (${times})`;
  });
}

/** The rows of a page, numbered from `from`. */
export function rowsOf(page: Pick<Page, "items">, from: number): AnswerRow[] {
  const known = new Map<string, string[]>();
  return page.items.map(({ host, host_name, columns, values }, index) => {
    const key = columns.join("\0");
    const ids = known.get(key) ?? distinct(columns);
    known.set(key, ids);
    return { n: from + index, host, host_name, values: Object.fromEntries(ids.map((id, at) => [id, values[at]])) };
  });
}

/** The columns with those that rows bring along: behind the others, in the order in which they came. */
export function withColumns(before: readonly AnswerColumn[], rows: readonly AnswerRow[]): readonly AnswerColumn[] {
  const known = new Set(before.map(({ id }) => id));
  const fresh = new Set(rows.flatMap(({ values }) => Object.keys(values)).filter((id) => !known.has(id)));
  if (fresh.size === 0) return before;
  const made = [...fresh].map((id) => {
    const with_it = rows.filter(({ values }) => id in values).slice(0, SAMPLE);
    const there = with_it.map(({ values }) => values[id]).filter((value) => value !== null && value !== undefined);
    const longest = Math.max(id.length, ...there.map((value) => String(value).length));
    const width = Math.round(Math.min(WIDTH.max, Math.max(WIDTH.min, longest * WIDTH.letter + WIDTH.room)));
    return { id, width, end: there.length > 0 && there.every((value) => typeof value === "number") };
  });
  return [...before, ...made];
}

const NOTHING: AnswerState = {
  rows: [],
  columns: [],
  ready: false,
  more: true,
  loading: false,
  complete: false,
  cut: false,
  error: null,
};

export type LoadRows = (cursor: string | null) => Promise<Page>;

/**
 * The rows of a live query while they come in. It fetches page by page, as far as somebody looks; at the end of what is
 * there it waits to be told of news. Pages are never fetched twice.
 */
export class Answer {
  #state = NOTHING;
  #cursor: string | null = null;
  #load: LoadRows;
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #news = false;
  #stopped = true;

  constructor(load: LoadRows) {
    this.#load = load;
  }

  readonly get = (): AnswerState => this.#state;
  readonly subscribe = (wake: () => void): (() => void) => {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  };

  #set(part: Partial<AnswerState>): void {
    this.#state = { ...this.#state, ...part };
    for (const wake of this.#listeners) wake();
  }

  /** Fetches the next page, unless one is on its way or there is none. */
  readonly more = async (): Promise<void> => {
    const { loading, more, rows, columns } = this.#state;
    if (loading || !more || this.#stopped) return;
    this.#news = false;
    this.#set({ loading: true, error: null });
    try {
      const page = await this.#load(this.#cursor);
      // Nobody looks any more: whoever looks again fetches it again.
      if (this.#stopped) return this.#set({ loading: false });
      this.#cursor = page.next_cursor ?? null;
      const room = ROWS_SHOWN_MAX - rows.length;
      const fresh = rowsOf({ items: page.items.slice(0, room) }, rows.length);
      const cut = page.items.length > room || (fresh.length === room && this.#cursor !== null);
      const complete = this.#cursor === null;
      const told = fresh.length > 0 || this.#news;
      this.#set({
        rows: fresh.length > 0 ? rows.concat(fresh) : rows,
        columns: withColumns(columns, fresh),
        ready: true,
        loading: false,
        more: !complete && !cut && told,
        complete,
        cut,
      });
    } catch (error) {
      this.#set({ loading: false, more: this.#stopped, error });
    }
  };

  /** Something came, or may have come. */
  readonly news = (): void => {
    this.#news = true;
    const { complete, cut } = this.#state;
    if (complete || cut || this.#stopped || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#state.loading) return;
      // Whoever is at the end sees it at once; the others when they come there.
      const atEnd = !this.#state.more;
      this.#set({ more: true });
      if (atEnd) void this.more();
    }, GATHER_MS);
  };

  /** Somebody looks. */
  start(): void {
    this.#stopped = false;
    void this.more();
  }

  /** Nobody looks any more. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Fetches rows of a live query; of one host alone, where one is named. */
export function rowLoader(id: string, host: string | undefined, limit = PAGE): LoadRows {
  return (cursor) => {
    const query = cursor ? { cursor, limit } : { ...(host ? { host } : {}), limit };
    return must(api.GET("/api/v1/live-queries/{id}/rows", { params: { path: { id }, query } }));
  };
}

/** Everything that has come, for an export; it does not wait for what is still to come. */
export async function* answerPages(load: LoadRows): AsyncGenerator<readonly AnswerRow[]> {
  let cursor: string | null = null;
  let from = 0;
  do {
    const page: Page = await load(cursor);
    if (page.items.length === 0) return;
    yield rowsOf(page, from);
    from += page.items.length;
    cursor = page.next_cursor ?? null;
  } while (cursor);
}
