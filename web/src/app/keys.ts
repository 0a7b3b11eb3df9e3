import { useEffect, useRef } from "react";

/** Whether keys go into a text rather than to the application. */
export function typing(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

export type Bindings = Record<string, (event: KeyboardEvent) => void>;

const SEQUENCE_MS = 900;

/**
 * Keyboard shortcuts while the component is shown: `?`, `mod+k`, or two keys in turn, `g a`. A dialog that is open keeps
 * its keys to itself.
 */
export function useKeys(bindings: Bindings, enabled = true): void {
  const latest = useRef(bindings);
  useEffect(() => {
    latest.current = bindings;
  });
  useEffect(() => {
    if (!enabled) return;
    let first = "";
    let at = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey) return;
      const mod = event.metaKey || event.ctrlKey;
      if (!mod && (typing(event) || document.querySelector('[role="dialog"]'))) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const pair = performance.now() - at < SEQUENCE_MS ? `${first} ${key}` : "";
      const name = mod ? `mod+${key}` : pair in latest.current ? pair : key;
      const run = latest.current[name];
      first = key;
      at = performance.now();
      if (!run) return;
      event.preventDefault();
      first = "";
      run(event);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [enabled]);
}
