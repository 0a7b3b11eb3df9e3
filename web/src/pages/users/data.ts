import { api, must, type Schema } from "@/api/client";
import type { UsersState } from "./search";

export type User = Schema<"UserView">;

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

/** Everybody that the filter finds, page by page. */
export async function* userPages(state: UsersState): AsyncGenerator<User[]> {
  const { queryFn } = usersQuery(state);
  let cursor: string | null = null;
  do {
    const page: { items: User[]; next_cursor?: string | null } = await queryFn({ pageParam: cursor });
    yield page.items;
    cursor = page.next_cursor ?? null;
  } while (cursor);
}

export const rolesQuery = { queryKey: ["roles", "list"], queryFn: () => must(api.GET("/api/v1/roles")) };
export const invitationsQuery = { queryKey: ["invitations"], queryFn: () => must(api.GET("/api/v1/invitations")) };

/** The address that a link has for whoever opens it. */
export function linkAddress(path: string): string {
  return new URL(path, location.origin).href;
}
