import { useMemo } from "react";
import { usePreferences } from "@/app/preferences";
import type { Language } from "./text";

const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"];
const COUNTS = ["", "k", "M", "G", "T"];

/** Making one costs as much as drawing a row of a table, so that each is made once. */
const NUMBERS = new Map<string, Intl.NumberFormat>();

function numbers(language: Language, digits: number): Intl.NumberFormat {
  const key = `${language} ${digits}`;
  const made = NUMBERS.get(key) ?? new Intl.NumberFormat(language, { maximumFractionDigits: digits });
  NUMBERS.set(key, made);
  return made;
}

function scaled(value: number, step: number, units: string[], language: Language, space: string): string {
  let index = 0;
  let rest = Math.abs(value);
  while (rest >= step && index < units.length - 1) {
    rest /= step;
    index += 1;
  }
  const digits = index === 0 ? (Number.isInteger(rest) ? 0 : 1) : rest < 10 ? 1 : 0;
  const number = numbers(language, digits).format(Math.sign(value) * rest);
  const unit = units[index] ?? "";
  return unit ? `${number}${space}${unit}` : number;
}

/** Numbers and times as one person reads them. */
export interface Format {
  /** Octets, decimal units. */
  bytes(value: number): string;
  /** Short: 12.3k. */
  count(value: number): string;
  /** Full, grouped. */
  number(value: number): string;
  percent(value: number): string;
  /** Date and time to the second; the year only where it is another one. */
  time(iso: string | number | Date): string;
  /** Date and time to the second, with the year. */
  full(iso: string | number | Date): string;
  /** Time alone, to the second. */
  clock(iso: string | number | Date): string;
  date(iso: string | number | Date): string;
  /** The date without its year. */
  day(iso: string | number | Date): string;
  /** "5 minutes ago". */
  ago(iso: string | number | Date, now?: number): string;
  /** 90 → "1 min 30 s". */
  duration(seconds: number): string;
  /** Name of the zone that times are shown in. */
  zone: string;
  /** What the zone adds to universal time at that moment, in milliseconds. */
  offset(time: number): number;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

function make(language: Language, zone: "local" | "utc"): Format {
  const timeZone = zone === "utc" ? "UTC" : undefined;
  const locale = language === "en" ? "en-GB" : "de-DE";
  const day: Intl.DateTimeFormatOptions = { year: "numeric", month: "short", day: "2-digit", timeZone };
  const second: Intl.DateTimeFormatOptions = {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZone,
  };
  const full = new Intl.DateTimeFormat(locale, { ...day, ...second });
  const monthDay: Intl.DateTimeFormatOptions = { month: "short", day: "numeric", timeZone };
  const thisYear = new Intl.DateTimeFormat(locale, { ...monthDay, ...second });
  const shortDay = new Intl.DateTimeFormat(locale, monthDay);
  const year = new Intl.DateTimeFormat("en", { year: "numeric", timeZone });
  const clock = new Intl.DateTimeFormat(locale, second);
  const date = new Intl.DateTimeFormat(locale, day);
  const plain = new Intl.NumberFormat(language);
  const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  const at = (value: string | number | Date) => new Date(value);
  return {
    bytes: (value) => scaled(value, 1000, BYTES, language, "\u00a0"),
    count: (value) => scaled(value, 1000, COUNTS, language, ""),
    number: (value) => plain.format(value),
    percent: (value) => percent.format(value),
    time: (value) => (year.format(at(value)) === year.format(Date.now()) ? thisYear : full).format(at(value)),
    full: (value) => full.format(at(value)),
    clock: (value) => clock.format(at(value)),
    date: (value) => date.format(at(value)),
    day: (value) => shortDay.format(at(value)),
    ago: (value, now = Date.now()) => {
      const seconds = (at(value).getTime() - now) / 1000;
      const [unit, size] = STEPS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
      return relative.format(Math.trunc(seconds / size), unit);
    },
    duration: (value) => {
      const parts: [number, string][] = [
        [Math.floor(value / 86_400), "d"],
        [Math.floor((value % 86_400) / 3_600), "h"],
        [Math.floor((value % 3_600) / 60), "min"],
        [Math.floor(value % 60), "s"],
      ];
      const first = parts.findIndex(([n]) => n > 0);
      if (first < 0) return "0 s";
      const shown = parts.slice(first, first + 2).filter(([n]) => n > 0);
      return shown.map(([n, unit]) => `${n}\u00a0${unit}`).join(" ");
    },
    offset: (time) => (zone === "utc" ? 0 : -new Date(time).getTimezoneOffset() * 60_000),
    zone: zone === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
}

const FORMATS = new Map<string, Format>();

/** The same for everybody who asks: a long table asks for it in every cell. */
export function format(language: Language, zone: "local" | "utc"): Format {
  const key = `${language} ${zone}`;
  const made = FORMATS.get(key) ?? make(language, zone);
  FORMATS.set(key, made);
  return made;
}

export function useFormat(): Format {
  const { language, zone } = usePreferences().preferences;
  return useMemo(() => format(language, zone), [language, zone]);
}
