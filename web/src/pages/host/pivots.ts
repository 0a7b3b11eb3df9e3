import type { HuntSearch } from "@/pages/hunt/search";
import { type EventClass, type HostEvent, textOf } from "./data";

/** Columns that tell most of a class, for the first question of a hunt. */
const TOLD: Record<EventClass, string> = {
  processes: 'time, host, activity, pid, image, command_line, "user", parent_image',
  connections: "time, host, activity, protocol, src_ip, src_port, dst_ip, dst_port, image",
  files: 'time, host, activity, path, changed, package, expected, image, "user"',
  logins: 'time, host, activity, success, service, "user", target_user, src_ip, method, reason',
  logs: "time, host, severity, program, message",
};

/** A hunt in SQL over one class. */
export function huntSql(kind: EventClass, condition: string): HuntSearch {
  const sql = `SELECT ${TOLD[kind]}\nFROM ${kind}\nWHERE ${condition}\nORDER BY time DESC\nLIMIT 200`;
  return { mode: "sql", sql };
}

const quoted = (value: string) => `'${value.replaceAll("'", "''")}'`;

export type Pivot =
  | {
      kind: "sql";
      label: "sameImage" | "sameHash" | "samePath" | "sameUser" | "sameProgram" | "sameProcess";
      search: HuntSearch;
    }
  | { kind: "flows"; ip: string }
  | { kind: "entity"; entity: "hash" | "user" | "ip"; value: string };

/** Where an event leads to: the same program, hash, path, person or address, elsewhere. */
export function pivotsOf(event: HostEvent): Pivot[] {
  const pivots: Pivot[] = [];
  const sql = (label: Extract<Pivot, { kind: "sql" }>["label"], kind: EventClass, column: string, name = column) => {
    const value = textOf(event, name);
    if (value) pivots.push({ kind: "sql", label, search: huntSql(kind, `"${column}" = ${quoted(value)}`) });
  };
  if (event.class === "files") sql("samePath", "files", "path");
  if (event.class === "logins") sql("sameUser", "logins", "user");
  if (event.class === "logs") sql("sameProgram", "logs", "program");
  if (event.class !== "logins" && event.class !== "logs") sql("sameImage", "processes", "image");
  if (event.class === "processes") sql("sameHash", "processes", "sha256");
  const [ticks, pid] = [textOf(event, "start_ticks"), textOf(event, "pid")];
  if (ticks && pid) {
    const condition = `host_id = ${quoted(textOf(event, "host_id"))} AND pid = ${pid} AND start_ticks = ${ticks}`;
    const kind = event.class === "processes" ? "connections" : "processes";
    pivots.push({ kind: "sql", label: "sameProcess", search: huntSql(kind, condition) });
  }
  for (const column of ["src_ip", "dst_ip"]) {
    const ip = textOf(event, column);
    if (!ip || /^(127\.|::1?$|0\.0\.0\.0$)/.test(ip)) continue;
    pivots.push({ kind: "flows", ip }, { kind: "entity", entity: "ip", value: ip });
  }
  const hash = textOf(event, "sha256");
  if (hash) pivots.push({ kind: "entity", entity: "hash", value: hash });
  const user = textOf(event, "user");
  if (user) pivots.push({ kind: "entity", entity: "user", value: user });
  return pivots;
}
