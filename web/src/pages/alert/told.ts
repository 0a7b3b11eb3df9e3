import type { EventClass, HostEvent } from "@/pages/host/data";
import { subjectOf } from "@/pages/host/told";

export type Told = Readonly<Record<string, unknown>>;

/** Whether it is a flow: somebody spoke with somebody, as an exporter saw it. */
export const isFlow = (event: Told): boolean => event.packets !== undefined || event.exporter !== undefined;

/** Of which class an event of a host is, by the columns that only this class has. */
export function classOf(event: Told): EventClass {
  if (event.path !== undefined && event.expected !== undefined) return "files";
  if (event.success !== undefined || event.service !== undefined) return "logins";
  if (event.message !== undefined) return "logs";
  if (event.dst_port !== undefined || event.src_port !== undefined) return "connections";
  if (event.path !== undefined) return "files";
  return "processes";
}

/** What an event of a host is about, in one line. */
export function aboutOf(event: Told): string {
  return subjectOf({ ...event, class: classOf(event) } as unknown as HostEvent);
}

/** Who did it: user, and the program where the line does not say it already. */
export function actorOf(event: Told): string {
  const word = (name: string) => (typeof event[name] === "string" ? (event[name] as string) : "");
  const program = word("image") || word("name") || word("process");
  return [word("user_name") || word("user"), classOf(event) === "processes" ? "" : program].filter(Boolean).join(" · ");
}

/** The programs at both ends of a flow, where hosts told them. */
export function programsOf(event: Told): string {
  const [from, to] = [event.src_process, event.dst_process].map((value) => (typeof value === "string" ? value : ""));
  return from && to ? `${from} → ${to}` : from || (to ? `→ ${to}` : "");
}

/** When it happened. */
export function timeOf(event: Told): string | undefined {
  const time = event.start ?? event.time;
  return time === undefined || time === null ? undefined : String(time);
}
