import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** The editor in the colours of the console; custom properties reach into the shadow root. */
const look = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--field)", fontSize: "13px", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": {
    fontFamily: "'JetBrains Mono', ui-monospace, monospace",
    lineHeight: "20px",
    fontVariantLigatures: "none",
    fontFeatureSettings: "normal",
  },
  ".cm-content": { caretColor: "var(--accent)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--accent-soft)",
  },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--text-3)", border: "none" },
  ".cm-activeLine": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "var(--hover)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--text)" },
  ".cm-placeholder": { color: "var(--text-3)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    border: "1px solid var(--line-strong)",
    borderRadius: "6px",
    boxShadow: "var(--shadow)",
    color: "var(--text)",
    fontSize: "12px",
  },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "'JetBrains Mono', ui-monospace, monospace", maxHeight: "16em" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--hover)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--text-3)", fontStyle: "normal", marginLeft: "12px" },
  ".cm-completionInfo": { padding: "6px 10px", maxWidth: "320px", fontFamily: "Inter, sans-serif" },
  ".cm-completionMatchedText": { textDecoration: "none", color: "var(--accent)" },
  ".cm-meaning": { padding: "6px 10px", maxWidth: "360px", fontFamily: "Inter, sans-serif", lineHeight: "18px" },
  ".cm-meaning-word": { fontFamily: "'JetBrains Mono', ui-monospace, monospace", fontWeight: "600" },
  ".cm-meaning-detail": { color: "var(--text-3)", fontWeight: "400", marginLeft: "12px" },
  ".cm-diagnostic": { padding: "6px 10px", fontFamily: "Inter, sans-serif", whiteSpace: "pre-wrap" },
  ".cm-diagnostic-error": { borderLeft: "3px solid var(--critical-fill)" },
  ".cm-diagnostic-warning": { borderLeft: "3px solid var(--medium-fill)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--critical-fill)" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--medium-fill)" },
  ".cm-panels": { backgroundColor: "var(--surface)", color: "var(--text)" },
  ".cm-searchMatch": { backgroundColor: "var(--medium-soft)" },
  ".cm-deletedChunk": { backgroundColor: "var(--critical-soft)" },
  ".cm-changedLine": { backgroundColor: "var(--good-soft)" },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--high)" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.attributeName], color: "var(--low)" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--medium)" },
  { tag: tags.comment, color: "var(--text-3)", fontStyle: "italic" },
  { tag: [tags.operator, tags.punctuation], color: "var(--text-2)" },
]);

export const theme = [look, syntaxHighlighting(colours)];
