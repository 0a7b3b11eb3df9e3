import type { Diagnostic } from "@codemirror/lint";
import { useEffect, useState } from "react";
import { api, must, type Schema } from "@/api/client";

export type Validation = Schema<"Validation">;
const PAUSE_MS = 350;

/** What the server says of a text, a moment after the last key. */
export function useValidation(source: string): Validation | null {
  const [result, setResult] = useState<Validation | null>(null);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      must(api.POST("/api/v1/rules/validate", { body: { source, comment: "" } }))
        .then((validation) => current && setResult(validation))
        // The next key tries again; the save would say what is wrong.
        .catch(() => current && setResult(null));
    }, PAUSE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [source]);
  return result;
}

/** Issues at their lines, as the editor marks them. */
export function diagnostics(source: string, validation: Validation | null): Diagnostic[] {
  const lines = source.split("\n");
  const starts = lines.map(
    ((at) => (line: string) => {
      const start = at;
      at += line.length + 1;
      return start;
    })(0),
  );
  return (validation?.issues ?? []).map((issue) => {
    const index = Math.max(0, Math.min(lines.length - 1, issue.line - 1));
    const line = lines[index] ?? "";
    const start = starts[index] ?? 0;
    const indent = line.length - line.trimStart().length;
    return {
      from: start + Math.min(indent, line.length),
      to: start + line.length,
      severity: issue.level === "error" ? "error" : "warning",
      message: issue.help ? `${issue.message}\n${issue.help}` : issue.message,
    };
  });
}
