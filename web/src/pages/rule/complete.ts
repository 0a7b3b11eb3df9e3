import type { CompletionSource } from "@codemirror/autocomplete";
import { columnMeanings, type Meanings } from "@/ui/editor/explain";
import type { TableView } from "@/ui/editor/filter-language";

const KEYS: readonly [name: string, info: string][] = [
  ["title:", "What it finds, in a few words."],
  ["id:", "A UUID that stays the same over all versions."],
  ["status:", "stable, test or experimental."],
  ["description:", "What it finds and why that matters."],
  ["references:", "Where to read more."],
  ["author:", "Who wrote it."],
  ["tags:", "attack.t1046, attack.discovery …"],
  ["logsource:", "Which telemetry it looks at."],
  ["detection:", "Selections and the condition over them."],
  ["condition:", "selection and not filter"],
  ["falsepositives:", "What may look the same and is harmless."],
  ["level:", "informational, low, medium, high or critical."],
  ["correlation:", "Counting over other rules."],
  ["timespan:", "Window of a correlation, such as 5m."],
  ["group-by:", "Fields that make the groups of a correlation."],
];
const MODIFIERS: readonly [name: string, info: string][] = [
  ["contains", "The text stands anywhere in the value."],
  ["startswith", "The value begins with the text."],
  ["endswith", "The value ends with the text."],
  ["re", "The value meets a regular expression."],
  ["cidr", "The address lies in a network, such as 10.0.0.0/8."],
  ["gt", "Greater than."],
  ["gte", "Greater than or equal to."],
  ["lt", "Less than."],
  ["lte", "Less than or equal to."],
  ["all", "Every value of the list, not one of them."],
  ["exists", "Whether the field has a value at all."],
];

/** Completes the keys of Sigma, the columns of telemetry and, after `|`, the modifiers. */
export function sigmaCompletion(tables: readonly TableView[]): CompletionSource {
  const columns = tables.flatMap((table) =>
    table.columns.map((column) => ({
      label: column.name,
      type: "property",
      detail: `${table.name} · ${column.type}`,
      info: column.doc,
    })),
  );
  const keys = KEYS.map(([label, info]) => ({ label, info, type: "keyword", boost: -1 }));
  const modifiers = MODIFIERS.map(([label, info]) => ({ label, info, type: "keyword" }));
  return (context) => {
    const modifier = context.matchBefore(/\|\w*/);
    if (modifier) return { from: modifier.from + 1, options: modifiers, validFor: /^\w*$/ };
    const word = context.matchBefore(/[\w-]+/);
    if (!word && !context.explicit) return null;
    return { from: word?.from ?? context.pos, options: [...columns, ...keys], validFor: /^[\w-]*$/ };
  };
}

/** What the keys and modifiers of Sigma and the columns of telemetry mean. */
export function sigmaMeanings(tables: readonly TableView[]): Meanings {
  const meanings = columnMeanings(tables);
  for (const [word, info] of [...KEYS, ...MODIFIERS]) meanings.set(word.replace(/:$/, ""), { info });
  return meanings;
}
