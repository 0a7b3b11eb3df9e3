import { useEffect, useRef, useState } from "react";

const PAUSE_MS = 250;

/** A text field that tells its value a moment after the last key. */
export function useSlowText(value: string, tell: (value: string) => void): [string, (value: string) => void] {
  const [own, setOwn] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useEffect(() => setOwn(value), [value]);
  const set = (next: string) => {
    setOwn(next);
    if (timer.current) clearTimeout(timer.current);
    timer.current = setTimeout(() => tell(next), PAUSE_MS);
  };
  return [own, set];
}
