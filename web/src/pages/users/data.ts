import { api, must, type Schema } from "@/api/client";

export type User = Schema<"UserView">;

export interface UsersState {
  q?: string;
  status?: "active" | "disabled" | "pending";
  sort?: string;
}

export function usersQuery(state: UsersState) {
  return {
    queryKey: ["users", "list", state],
    queryFn: ({ pageParam }: { pageParam: string | null }) =>
      must(
        api.GET("/api/v1/users", {
          params: {
            query: pageParam
              ? { cursor: pageParam, limit: 200 }
              : {
                  limit: 200,
                  ...(state.q ? { search: state.q } : {}),
                  ...(state.status ? { status: state.status } : {}),
                  sort: state.sort ?? "name",
                },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? null,
  };
}

export const rolesQuery = { queryKey: ["roles", "list"], queryFn: () => must(api.GET("/api/v1/roles")) };
export const invitationsQuery = { queryKey: ["invitations"], queryFn: () => must(api.GET("/api/v1/invitations")) };

/** The address that a link has for whoever opens it. */
export function linkAddress(path: string): string {
  return new URL(path, location.origin).href;
}
