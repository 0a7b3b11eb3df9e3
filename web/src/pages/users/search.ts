import { search } from "@/app/search";

export const usersSearch = search({ q: "text", status: ["active", "disabled", "pending"], sort: "text" });
export type UsersState = ReturnType<typeof usersSearch>;
