import type { Extension } from "@codemirror/state";
import { hoverTooltip } from "@codemirror/view";
import type { TableView } from "./filter-language";

/** What a word means: a short kind, and a sentence. */
export interface Meaning {
  detail?: string;
  info: string;
}
export type Meanings = ReadonlyMap<string, Meaning>;

/** What the columns of telemetry mean; where tables share a name, the first counts. */
export function columnMeanings(tables: readonly TableView[]): Map<string, Meaning> {
  const meanings = new Map<string, Meaning>();
  for (const table of tables) {
    for (const column of table.columns) {
      if (meanings.has(column.name)) continue;
      const kind = column.unit ? `${column.type}, ${column.unit}` : column.type;
      meanings.set(column.name, { detail: `${table.name} · ${kind}`, info: column.doc });
    }
  }
  return meanings;
}

/** The word at a place of a line, and where it begins and ends. */
export function wordAt(line: string, at: number): { word: string; from: number; to: number } | null {
  for (const match of line.matchAll(/[A-Za-z_][\w-]*/g)) {
    const from = match.index;
    const to = from + match[0].length;
    if (from <= at && at <= to) return { word: match[0], from, to };
  }
  return null;
}

/** Says what a word means while the pointer rests on it. */
export function explain(meanings: () => Meanings | undefined): Extension {
  return hoverTooltip((view, pos) => {
    const line = view.state.doc.lineAt(pos);
    const found = wordAt(line.text, pos - line.from);
    const meaning = found && meanings()?.get(found.word);
    if (!found || !meaning) return null;
    return {
      pos: line.from + found.from,
      end: line.from + found.to,
      above: true,
      create: () => {
        const dom = document.createElement("div");
        dom.className = "cm-meaning";
        const head = dom.appendChild(document.createElement("div"));
        head.className = "cm-meaning-word";
        head.textContent = found.word;
        if (meaning.detail) {
          const detail = head.appendChild(document.createElement("span"));
          detail.className = "cm-meaning-detail";
          detail.textContent = meaning.detail;
        }
        dom.appendChild(document.createElement("div")).textContent = meaning.info;
        return { dom };
      },
    };
  });
}
