import { PROTOCOLS } from "@/pages/hunt/cell";
import { type HostEvent, numberOf, textOf } from "./data";

/** The last part of a path. */
export function baseName(path: string): string {
  return path.split("/").filter(Boolean).at(-1) ?? path;
}

/** Address and port, the way people write them. */
export function endpoint(address: string, port: number | null): string {
  if (!address) return port === null ? "–" : `*:${port}`;
  if (port === null) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

export function protocolName(number: number | null): string {
  return number === null ? "" : (PROTOCOLS[number] ?? String(number));
}

/** What an event is about, in one line: the rest of it is in its columns. */
export function subjectOf(event: HostEvent): string {
  const text = (column: string) => textOf(event, column);
  switch (event.class) {
    case "processes":
      return text("command_line") || text("image") || text("name") || `${text("pid")}`;
    case "connections": {
      const to = endpoint(text("dst_ip"), numberOf(event, "dst_port"));
      const from = endpoint(text("src_ip"), numberOf(event, "src_port"));
      const which = protocolName(numberOf(event, "protocol"));
      const by = text("name") || baseName(text("image"));
      const ends = event.activity === "listen" || event.activity === "unlisten" ? to : `${from} → ${to}`;
      return [which, ends, by && `(${by})`].filter(Boolean).join(" ");
    }
    case "files":
      return text("old_path") ? `${text("old_path")} → ${text("path")}` : text("path");
    case "logins": {
      const who = [text("user"), text("target_user")].filter(Boolean).join(" → ") || "–";
      const from = text("src_ip") || text("src_host") || text("terminal");
      return [text("service"), who, from && `← ${from}`, text("command")].filter(Boolean).join(" ");
    }
    default:
      return [text("program"), text("message")].filter(Boolean).join(": ");
  }
}

/** Whether an event deserves a look. */
export function isNotable(event: HostEvent): boolean {
  switch (event.class) {
    case "processes":
      return event.elevated === true;
    case "files":
      return event.expected === false;
    case "logins":
      return event.success === false;
    case "logs":
      return (numberOf(event, "severity") ?? 7) <= 3;
    default:
      return false;
  }
}
