import { useCallback, useState } from "react";
import { Problem } from "@/api/client";
import { done, failed } from "@/ui/toast";
import { askProof } from "./proof";

/** Does something that may need a fresh proof of who one is: asks for it and tries again. Null when it was refused. */
export async function proven<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Problem) || error.kind !== "step-up-required") throw error;
    return (await askProof()) ? run() : null;
  }
}

/** Runs changes one at a time: says when it is done, or why not, and whether one is under way. */
export function useAction() {
  const [busy, setBusy] = useState(false);
  const act = useCallback(async <T>(run: () => Promise<T>, message?: string): Promise<T | null> => {
    setBusy(true);
    try {
      const result = await proven(run);
      if (result !== null && message) done(message);
      return result;
    } catch (error) {
      failed(error);
      return null;
    } finally {
      setBusy(false);
    }
  }, []);
  return { busy, act };
}
