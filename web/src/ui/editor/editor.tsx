import { autocompletion, type CompletionSource, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, indentOnInput } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState, type Extension, Prec } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { useEffect, useRef } from "react";
import { explain, type Meanings } from "./explain";
import { theme } from "./theme";

export interface EditorProps {
  value: string;
  onChange?: (value: string) => void;
  label: string;
  language?: Extension;
  complete?: CompletionSource;
  /** What words mean, told while the pointer rests on one. */
  meanings?: Meanings;
  diagnostics?: readonly Diagnostic[];
  /** Ctrl or ⌘ with Enter; in a single line, Enter alone. */
  onRun?: () => void;
  hint?: string;
  /** One line, as a field. */
  single?: boolean;
  readOnly?: boolean;
  className?: string;
}

interface Live {
  onChange: EditorProps["onChange"];
  onRun: EditorProps["onRun"];
  complete: CompletionSource | undefined;
  meanings: Meanings | undefined;
}

const liveOf = ({ onChange, onRun, complete, meanings }: EditorProps): Live => ({
  onChange,
  onRun,
  complete,
  meanings,
});

function extensions(props: EditorProps, live: { current: Live }, language: Compartment): Extension {
  const run = () => {
    live.current.onRun?.();
    return live.current.onRun !== undefined;
  };
  const single = EditorState.transactionFilter.of((change) => (change.newDoc.lines > 1 ? [] : change));
  return [
    Prec.highest(keymap.of([{ key: "Mod-Enter", run }])),
    props.single
      ? // After a completion that is open, before the key breaks a line.
        [single, keymap.of([{ key: "Enter", run }])]
      : [EditorView.lineWrapping, lineNumbers(), highlightActiveLine(), highlightActiveLineGutter(), lintGutter()],
    history(),
    drawSelection(),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    autocompletion({
      ...(props.complete ? { override: [(context) => live.current.complete?.(context) ?? null] } : {}),
      icons: false,
    }),
    explain(() => live.current.meanings),
    // Tab leaves a single line, as in every field; elsewhere Escape and then Tab does.
    keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap, ...(props.single ? [] : [indentWithTab])]),
    language.of(props.language ?? []),
    props.hint ? placeholder(props.hint) : [],
    EditorState.readOnly.of(props.readOnly ?? false),
    EditorView.contentAttributes.of({ "aria-label": props.label, tabindex: "0" }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) live.current.onChange?.(update.state.doc.toString());
    }),
    theme,
  ];
}

/**
 * A code editor. It lives in a shadow root, where its styles are constructed sheets: the content security policy
 * refuses the style elements that it would otherwise add to the page.
 */
export function Editor(props: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const language = useRef(new Compartment());
  const live = useRef<Live>(liveOf(props));
  const first = useRef(props);
  useEffect(() => {
    live.current = liveOf(props);
  });
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    const place = document.createElement("div");
    place.setAttribute("part", "editor");
    root.replaceChildren(place);
    place.style.height = "100%";
    const state = EditorState.create({
      doc: first.current.value,
      extensions: extensions(first.current, live, language.current),
    });
    const made = new EditorView({ state, parent: place, root });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
  }, []);
  useEffect(() => {
    const editor = view.current;
    if (!editor || editor.state.doc.toString() === props.value) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: props.value } });
  }, [props.value]);
  useEffect(() => {
    view.current?.dispatch({ effects: language.current.reconfigure(props.language ?? []) });
  }, [props.language]);
  useEffect(() => {
    const editor = view.current;
    if (!editor || !props.diagnostics) return;
    const length = editor.state.doc.length;
    const fitting = props.diagnostics.map((d) => ({
      ...d,
      from: Math.min(d.from, length),
      to: Math.min(d.to, length),
    }));
    editor.dispatch(setDiagnostics(editor.state, fitting));
  }, [props.diagnostics]);
  return <div ref={host} className={props.className} />;
}
