import {
  type Completion,
  type CompletionContext,
  type CompletionResult,
  type CompletionSource,
  insertCompletionText,
  pickedCompletion,
} from "@codemirror/autocomplete";
import type { EditorView } from "@codemirror/view";

/** A value that a column has, and how often. */
export interface Frequent {
  value: unknown;
  detail: string;
}

/** Asks what a column has most; null for columns of which nobody knows. */
export type AskValues = (column: string) => Promise<readonly Frequent[]> | null;

/** Where a value stands that is being written. */
export interface ValuePlace {
  column: string;
  /** What is there of it, with its opening quote. */
  begun: string;
}

const COLUMN = String.raw`([A-Za-z_]\w*)`;
const LIST = String.raw`\(?(?:[^()]*,)?`;
const FILTER = new RegExp(
  `${COLUMN}\\s*(?:==?|!=|[<>]=?|\\s(?:not\\s+)?in\\s*${LIST}|\\s(?:not\\s+)?like\\s)\\s*("[^"]*|[^\\s"(),=<>!]*)$`,
  "i",
);
const SQL = new RegExp(
  `${COLUMN}"?\\s*(?:=|<>|!=|[<>]=?|\\s(?:not\\s+)?in\\s*\\((?:[^()]*,)?|\\s(?:not\\s+)?like\\s)\\s*('[^']*|[^\\s'(),=<>!]*)$`,
  "i",
);

function placeIn(before: string, grammar: RegExp): ValuePlace | null {
  const [, column, begun] = grammar.exec(before) ?? [];
  return column === undefined || begun === undefined ? null : { column, begun };
}

/** The value at the end of an unfinished filter. */
export const filterValue = (before: string) => placeIn(before, FILTER);
/** The value at the end of unfinished SQL. */
export const sqlValue = (before: string) => placeIn(before, SQL);

/** A value as SQL writes it. */
export function sqlLiteral(value: unknown): string {
  return typeof value === "number" ? String(value) : `'${String(value).replaceAll("'", "''")}'`;
}

/** Whether a value begins with what was written, or one of its words does. */
function fits(value: string, written: string): boolean {
  const plain = value.toLowerCase();
  return plain.startsWith(written) || plain.includes(` ${written}`);
}

/**
 * The options for what was written. Whoever wrote a value out gets none, so that Enter runs what stands there; whoever
 * wrote the beginning of one finds their own text first.
 */
export function valueOptions(
  found: readonly Frequent[],
  begun: string,
  literal: (value: unknown) => string,
  explicit: boolean,
): Completion[] {
  const written = begun.replace(/^["']/, "").toLowerCase();
  const offered = found.filter(({ value }) => fits(String(value), written));
  if (!explicit && written !== "" && offered.some(({ value }) => String(value).toLowerCase() === written)) return [];
  const options = offered.map(({ value, detail }) => ({
    label: literal(value),
    detail,
    type: "constant",
    apply: (view: EditorView, picked: Completion, from: number, to: number) => {
      const insert = literal(value);
      // A quote that the editor closed by itself is not closed twice.
      const last = insert.at(-1) ?? "";
      const closed = /["']/.test(last) && view.state.sliceDoc(to, to + 1) === last;
      view.dispatch({
        ...insertCompletionText(view.state, insert, from, closed ? to + 1 : to),
        annotations: pickedCompletion.of(picked),
      });
    },
  }));
  return options.length > 0 && written !== "" ? [{ label: begun, type: "text" }, ...options] : options;
}

/** Completes values, where one stands; it waits for the server beside the typing, never before it. */
export function valueCompletion(
  place: (before: string) => ValuePlace | null,
  literal: (value: unknown) => string,
  ask: AskValues,
): (context: CompletionContext) => Promise<CompletionResult | null> | null {
  return (context) => {
    const line = context.state.doc.lineAt(context.pos);
    const at = place(line.text.slice(0, context.pos - line.from));
    const asked = at && ask(at.column);
    if (!at || !asked) return null;
    return asked.then(
      (found) => {
        const options = context.aborted ? [] : valueOptions(found, at.begun, literal, context.explicit);
        return options.length > 0 ? { from: context.pos - at.begun.length, options, filter: false } : null;
      },
      () => null,
    );
  };
}

/** One source after the other, until one has something to say. */
export function firstOf(...sources: readonly CompletionSource[]): CompletionSource {
  return async (context) => {
    for (const source of sources) {
      const result = await source(context);
      if (result) return result;
    }
    return null;
  };
}
