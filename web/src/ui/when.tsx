import { usePreferences } from "@/app/preferences";
import { Input } from "./form";

const pad = (n: number) => String(n).padStart(2, "0");

/** A time as a field of the browser takes it, in the zone that the person reads times in. */
export function toField(iso: string | null | undefined, zone: "local" | "utc"): string {
  if (!iso) return "";
  const time = new Date(iso);
  if (zone === "utc") return time.toISOString().slice(0, 16);
  return `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())}T${pad(time.getHours())}:${pad(time.getMinutes())}`;
}

/** The other way; empty is no time. */
export function fromField(value: string, zone: "local" | "utc"): string | null {
  if (!value) return null;
  const time = new Date(zone === "utc" ? `${value}Z` : value);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

/** A field for a date and a time, in the person's zone. */
export function When({
  value,
  onChange,
  ...ids
}: {
  value: string | null;
  onChange: (iso: string | null) => void;
  id?: string;
  "aria-label"?: string;
}) {
  const { zone } = usePreferences().preferences;
  return (
    <Input
      {...ids}
      type="datetime-local"
      value={toField(value, zone)}
      onChange={(event) => onChange(fromField(event.target.value, zone))}
    />
  );
}
