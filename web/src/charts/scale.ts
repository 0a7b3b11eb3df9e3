/** Scales of charts: pure. */

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** A round number at or above the largest value, whose half is round, too: counts stay whole. */
export function ceiling(value: number): number {
  if (value <= 0) return 1;
  if (value === 1) return 2;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 6, 8, 10].find((step) => step * power >= value) ?? 10) * power;
}

/** What the marks of an axis of time may lie apart. */
const STEPS_MS = [
  ...[1 / 60, 1 / 12, 0.25, 0.5, 1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_MS),
  ...[1, 2, 3, 4, 6, 12].map((hours) => hours * HOUR_MS),
  ...[1, 2, 7, 14, 30, 90, 365].map((days) => days * DAY_MS),
];

/** Round times between two, at most `count` of them, in a zone that lies `offset` before universal time. */
export function ticks(from: number, to: number, offset: number, count = 8): number[] {
  const span = Math.max(1, to - from);
  const step = STEPS_MS.find((known) => span / known <= count) ?? 365 * DAY_MS;
  const first = Math.ceil((from + offset) / step) * step - offset;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, index) => first + index * step);
}
