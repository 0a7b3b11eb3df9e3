import { catalogue } from "@/i18n/text";

/** Texts of the fleet's software. */
export const text = catalogue({
  title: ["Software", "Software"],
  lead: [
    "What is installed, in which versions, on how many hosts",
    "Was installiert ist, in welchen Versionen, auf wie vielen Hosts",
  ],
  count: ["{n} {n|software|software}", "{n} Programme"],
  search: ["Name or source package…", "Name oder Quellpaket …"],
  kind: ["Managed by", "Verwaltet von"],
  anyKind: ["Anything", "Egal"],
  name: ["Name", "Name"],
  hosts: ["Hosts", "Hosts"],
  host: ["Host", "Host"],
  versions: ["Versions", "Versionen"],
  oneOf: ["{first} and {n} more", "{first} und {n} weitere"],
  licences: ["Licences", "Lizenzen"],
  vendor: ["Vendor", "Hersteller"],
  version: ["Version", "Version"],
  architecture: ["Architecture", "Architektur"],
  status: ["State", "Stand"],
  anyVersion: ["Any version", "Jede Version"],
  none: ["No software is known yet", "Noch keine Software bekannt"],
  noneHint: [
    "Agents tell what is installed a moment after they connected.",
    "Agenten melden kurz nach dem Verbinden, was installiert ist.",
  ],
  noneFound: ["No software matches", "Keine Software passt"],
  truncated: ["Only the first hosts are shown.", "Nur die ersten Hosts werden gezeigt."],
  onHosts: ["{n} {n|host|hosts}", "{n} {n|Host|Hosts}"],
});
