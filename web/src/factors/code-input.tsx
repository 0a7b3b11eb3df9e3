import { type ComponentProps, useEffect, useRef } from "react";
import { classes } from "@/ui/classes";
import { Input } from "@/ui/form";

/** Six digits of an app. Telephones offer them by themselves. */
export function CodeInput({
  value,
  onChange,
  className,
  ...rest
}: Omit<ComponentProps<typeof Input>, "onChange" | "value"> & { value: string; onChange: (value: string) => void }) {
  const box = useRef<HTMLInputElement>(null);
  // A wrong code is emptied; the next one goes into the same place.
  useEffect(() => {
    if (value === "") box.current?.focus();
  }, [value]);
  return (
    <Input
      {...rest}
      ref={box}
      value={value}
      inputMode="numeric"
      autoComplete="one-time-code"
      maxLength={7}
      required
      onChange={(event) => onChange(event.target.value.replace(/[^\d ]/g, ""))}
      className={classes("mono num tracking-[0.3em]", className)}
    />
  );
}
