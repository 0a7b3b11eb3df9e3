import { search } from "@/app/search";

export const commandsSearch = search({ host: "text", kind: "text" });
export type CommandsSearch = ReturnType<typeof commandsSearch>;
