import { useSyncExternalStore } from "react";
import { useFormat } from "@/i18n/format";

/** One ticking clock for all relative times. */
let now = Date.now();
const waiting = new Set<() => void>();
setInterval(() => {
  now = Date.now();
  for (const wake of waiting) wake();
}, 5_000);

function subscribe(wake: () => void): () => void {
  waiting.add(wake);
  return () => waiting.delete(wake);
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** A time, relative, with the full time and its zone in the title. */
export function Ago({ time }: { time: string | null | undefined }) {
  const format = useFormat();
  const now = useNow();
  if (!time) return <span className="text-text-3">–</span>;
  return (
    <time dateTime={time} title={`${format.time(time)} ${format.zone}`} className="num whitespace-nowrap">
      {format.ago(time, Math.max(now, new Date(time).getTime()))}
    </time>
  );
}

/** A time in full. */
export function At({ time }: { time: string | null | undefined }) {
  const format = useFormat();
  if (!time) return <span className="text-text-3">–</span>;
  return (
    <time dateTime={time} title={format.zone} className="num whitespace-nowrap">
      {format.time(time)}
    </time>
  );
}
