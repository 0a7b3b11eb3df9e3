import { type HostEvent, numberOf, textOf } from "./data";

/** A port that is listened on. */
export interface Listening {
  id: string;
  protocol: number;
  address: string;
  port: number;
  event: HostEvent;
  /** Reachable from other machines. */
  open: boolean;
}

const HERE = /^(127\.|::1$)/;

/**
 * The ports that are listened on, of what was told of opening and closing them, newest first. A restart of the machine
 * closes all.
 */
export function listening(events: readonly HostEvent[]): Listening[] {
  const boot = textOf(events[0] ?? ({} as HostEvent), "boot");
  const seen = new Map<string, Listening | null>();
  for (const event of events) {
    if (textOf(event, "boot") !== boot) continue;
    const [protocol, port] = [numberOf(event, "protocol"), numberOf(event, "dst_port")];
    if (protocol === null || port === null) continue;
    const address = textOf(event, "dst_ip");
    const id = `${protocol}/${address}/${port}`;
    if (seen.has(id)) continue;
    const there = event.activity === "listen";
    seen.set(id, there ? { id, protocol, address, port, event, open: !HERE.test(address) } : null);
  }
  const all = [...seen.values()].filter((one) => one !== null);
  return all.sort((a, b) => a.port - b.port || a.protocol - b.protocol || a.address.localeCompare(b.address));
}
