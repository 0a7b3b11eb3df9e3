import { QueryClient } from "@tanstack/react-query";
import { Problem } from "./client";

/** A problem that the server decided stays a problem; only what may pass is tried again. */
function again(failures: number, error: unknown): boolean {
  const passing = !(error instanceof Problem) || error.status === 503 || error.status === 502;
  return passing && failures < 3;
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: again, staleTime: 10_000, refetchOnWindowFocus: false },
    mutations: { retry: false },
  },
});
