import type { PlainKey } from "@/i18n/text";
import type { text } from "./strings";

/** Questions to start from. */
export const EXAMPLES: readonly { label: PlainKey<typeof text>; sql: string }[] = [
  {
    label: "exampleTalkers",
    sql: "SELECT src_ip, sum(bytes) AS bytes, count(*) AS flows\nFROM flows\nWHERE received > now() - INTERVAL '24 hours'\nGROUP BY 1 ORDER BY 2 DESC LIMIT 100",
  },
  {
    label: "exampleOutbound",
    sql: "SELECT dst_country, sum(bytes) AS bytes, count(DISTINCT dst_ip) AS hosts\nFROM flows\nWHERE direction = 'outbound' AND received > now() - INTERVAL '24 hours'\nGROUP BY 1 ORDER BY 2 DESC",
  },
  {
    label: "examplePorts",
    sql: "SELECT src_ip, count(DISTINCT dst_port) AS ports, count(*) AS flows\nFROM flows\nWHERE received > now() - INTERVAL '24 hours'\nGROUP BY 1 HAVING count(DISTINCT dst_port) > 50\nORDER BY 2 DESC",
  },
  {
    label: "exampleFindings",
    sql: "SELECT title, severity, count(*) AS findings, max(received) AS last\nFROM findings\nGROUP BY 1, 2 ORDER BY 3 DESC",
  },
  {
    label: "exampleLoad",
    sql: "SELECT date_trunc('minute', received) AS minute, sum(bytes) AS bytes, count(*) AS flows\nFROM flows\nWHERE received > now() - INTERVAL '6 hours'\nGROUP BY 1 ORDER BY 1",
  },
];
