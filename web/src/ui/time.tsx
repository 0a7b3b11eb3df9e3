import { useSyncExternalStore } from "react";
import { useFormat } from "@/i18n/format";

/** How often relative times are told anew. */
const TICK_MS = 5_000;

/** One ticking clock for all relative times. */
let now = Date.now();
const waiting = new Set<() => void>();
setInterval(() => {
  now = Date.now();
  for (const wake of waiting) wake();
}, TICK_MS);

function subscribe(wake: () => void): () => void {
  waiting.add(wake);
  return () => waiting.delete(wake);
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** The moment that a time is told from: what just happened is never told as to come, because the clock ticks slowly. */
export function since(time: number, now: number): number {
  return time > now && time - now <= 2 * TICK_MS ? time : now;
}

/** A time, relative, with the full time and its zone in the title. */
export function Ago({ time }: { time: string | null | undefined }) {
  const format = useFormat();
  const now = useNow();
  if (!time) return <span className="text-text-3">–</span>;
  return (
    <time dateTime={time} title={`${format.full(time)} ${format.zone}`} className="num whitespace-nowrap">
      {format.ago(time, since(new Date(time).getTime(), now))}
    </time>
  );
}

/** A time in full. */
export function At({ time }: { time: string | null | undefined }) {
  const format = useFormat();
  if (!time) return <span className="text-text-3">–</span>;
  return (
    <time dateTime={time} title={`${format.full(time)} ${format.zone}`} className="num whitespace-nowrap">
      {format.time(time)}
    </time>
  );
}
