import { useKept } from "@/app/kept";
import { useCan } from "@/app/session";

/** Name under which the state of the first steps is kept. */
export const START = "start";

export function readStart(stored: unknown): { hidden: boolean } {
  return { hidden: typeof stored === "object" && stored !== null && (stored as { hidden?: unknown }).hidden === true };
}

/** Whether the navigation still offers the first steps: to whoever sets things up, until they put it away. */
export function useStartOffered(): boolean {
  const manages = useCan("users:manage");
  const [start] = useKept(START, readStart);
  return manages && !start.hidden;
}
