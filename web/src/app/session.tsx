import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useLayoutEffect } from "react";
import { api, must, onProblem, Problem, type Schema } from "@/api/client";
import { adopt } from "./kept";

export type Session = Schema<"WhoView">;

/** Answers that mean that the session ended, or that it holds no longer by itself. */
const ENDED = new Set(["unauthenticated", "factor-required", "enrolment-required", "certificate-required"]);

const SessionContext = createContext<Session | null>(null);

export const sessionQuery = {
  queryKey: ["session"],
  queryFn: () => must(api.GET("/api/v1/session")),
  staleTime: 60_000,
  retry: (failures: number, error: unknown) => !(error instanceof Problem) && failures < 5,
};

export function useSessionQuery() {
  return useQuery(sessionQuery);
}

export function SessionProvider({ session, children }: { session: Session; children: ReactNode }) {
  const client = useQueryClient();
  useEffect(
    () =>
      onProblem((problem) => {
        // The next look at the session leads to the sign-in page.
        // A wrong code or password answers 401 too, and ends nothing.
        if (ENDED.has(problem.kind)) void client.resetQueries({ queryKey: ["session"] });
      }),
    [client],
  );
  const { user, kind, preferences } = session;
  useLayoutEffect(() => {
    if (kind === "session" && user) adopt(user, preferences);
  }, [kind, user, preferences]);
  return <SessionContext value={session}>{children}</SessionContext>;
}

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("there is a session on every page behind the sign-in");
  return session;
}

/** Whether the person may do this in the tenant. The server decides; the console only leaves out what it would refuse. */
export function useCan(permission: string): boolean {
  return useContext(SessionContext)?.permissions.includes(permission) ?? false;
}
