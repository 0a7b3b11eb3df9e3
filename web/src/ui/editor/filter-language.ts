import type { CompletionSource } from "@codemirror/autocomplete";
import { StreamLanguage } from "@codemirror/language";
import type { Schema } from "@/api/client";

export type TableView = Schema<"TableView">;

const WORDS = new Set(["and", "or", "not", "in", "like", "has", "is", "null", "now", "true", "false"]);

/** Colours for the filter language; docs/filters.md tells its grammar. */
export const filterLanguage = StreamLanguage.define({
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match(/"(?:[^"\\]|\\.)*"?/)) return "string";
    if (stream.match(/\d[\w.:/+-]*/)) return "number";
    if (stream.match(/[<>=!~]+|&&|\|\|/)) return "operator";
    if (stream.match(/[A-Za-z_][\w.]*/)) {
      return WORDS.has(stream.current().toLowerCase()) ? "keyword" : "propertyName";
    }
    stream.next();
    return null;
  },
});

const ENDS = ["ip", "port", "country", "city", "as", "as_org", "mac"];

/** Completes columns and words of the filter language. */
export function filterCompletion(table: TableView | undefined): CompletionSource {
  const options = [
    ...(table?.columns ?? []).map((column) => ({
      label: column.name,
      type: "property",
      detail: column.unit ? `${column.type}, ${column.unit}` : column.type,
      info: column.doc,
    })),
    ...ENDS.map((label) => ({ label, type: "property", detail: "src / dst", boost: -1 })),
    ...[...WORDS].map((label) => ({ label, type: "keyword", boost: -2 })),
  ];
  return (context) => {
    const word = context.matchBefore(/[A-Za-z_][\w.]*/);
    if (!word && !context.explicit) return null;
    return { from: word?.from ?? context.pos, options, validFor: /^[\w.]*$/ };
  };
}
