import type { Schema } from "@/api/client";
import { eventId, type HostEvent } from "./data";

type Alert = Schema<"AlertView">;

/** Something on the timeline of a host: what happened there, or an alert about it. */
export type Moment =
  | { time: string; event: HostEvent; alert?: undefined }
  | { time: string; event?: undefined; alert: Alert };

export const momentId = (moment: Moment): string => (moment.event ? eventId(moment.event) : moment.alert.id);

/**
 * Alerts between the events that are loaded, newest first. Events keep the order in which they came; an alert older than
 * all of them waits until the rest is loaded.
 */
export function merged(events: readonly HostEvent[], alerts: readonly Alert[], complete: boolean): Moment[] {
  const waiting = [...alerts].sort((a, b) => b.last_seen.localeCompare(a.last_seen));
  const all: Moment[] = [];
  for (const event of events) {
    while (waiting[0] && waiting[0].last_seen >= event.received) {
      const alert = waiting.shift() as Alert;
      all.push({ time: alert.last_seen, alert });
    }
    all.push({ time: event.time, event });
  }
  if (complete) all.push(...waiting.map((alert) => ({ time: alert.last_seen, alert })));
  return all;
}
