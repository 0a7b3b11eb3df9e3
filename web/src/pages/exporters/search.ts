import { search } from "@/app/search";

export const exporterSearch = search({
  q: "text",
  state: ["receiving", "waiting", "silent"],
  sort: "text",
  show: "text",
});
export type ExporterSearch = ReturnType<typeof exporterSearch>;
