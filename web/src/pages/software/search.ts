import { search } from "@/app/search";

export const KINDS = [
  "dpkg",
  "rpm",
  "apk",
  "pacman",
  "portage",
  "nix",
  "snap",
  "flatpak",
  "python",
  "npm",
  "gem",
  "cargo",
  "go",
  "java",
] as const;

export const softwareSearch = search({
  q: "text",
  kind: KINDS,
  sort: ["name", "hosts"],
  /** The software whose hosts are shown: its kind and name. */
  of: "text",
  version: "text",
});
export type SoftwareSearch = ReturnType<typeof softwareSearch>;
