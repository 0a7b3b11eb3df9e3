import { Checkbox as BaseCheckbox } from "@base-ui/react/checkbox";
import { Select as BaseSelect } from "@base-ui/react/select";
import { Switch as BaseSwitch } from "@base-ui/react/switch";
import { Check, ChevronDown, Minus, Search } from "lucide-react";
import { type InputHTMLAttributes, type ReactNode, type Ref, type TextareaHTMLAttributes, useId } from "react";
import { classes } from "./classes";

const BOX =
  "w-full rounded-m border border-line-strong/80 bg-field px-2.5 text-sm text-text placeholder:text-text-3 " +
  "transition-colors hover:border-line-strong focus-visible:outline-2 focus-visible:outline-offset-0 focus-visible:outline-focus " +
  "aria-invalid:border-critical disabled:opacity-50";

interface FieldProps {
  label: string;
  hint?: ReactNode;
  error?: string | null | undefined;
  children: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ReactNode;
}

/** A labelled control with its hint and its error, tied together for assistive technology. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const remark = error ?? hint;
  return (
    <div className="flex flex-col gap-1.5">
      <label htmlFor={id} className="text-sm font-medium text-text">
        {label}
      </label>
      {children({
        id,
        ...(remark ? { "aria-describedby": `${id}-remark` } : {}),
        ...(error ? { "aria-invalid": true as const } : {}),
      })}
      {remark && (
        <div id={`${id}-remark`} className={classes("text-xs", error ? "text-critical" : "text-text-3")}>
          {remark}
        </div>
      )}
    </div>
  );
}

export function Input({ className, ...rest }: InputHTMLAttributes<HTMLInputElement> & { ref?: Ref<HTMLInputElement> }) {
  return <input {...rest} className={classes(BOX, "h-(--control)", className)} />;
}

export function Textarea({
  className,
  ...rest
}: TextareaHTMLAttributes<HTMLTextAreaElement> & { ref?: Ref<HTMLTextAreaElement> }) {
  return <textarea {...rest} className={classes(BOX, "min-h-20 py-2", className)} />;
}

export function SearchBox({
  label,
  className,
  ...rest
}: InputHTMLAttributes<HTMLInputElement> & { label: string; ref?: Ref<HTMLInputElement> }) {
  return (
    <div className={classes("relative min-w-0", className)}>
      <Search
        aria-hidden
        size={15}
        className="pointer-events-none absolute left-2.5 top-1/2 -translate-y-1/2 text-text-3"
      />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        {...rest}
        className={classes(BOX, "h-(--control) pl-8 [&::-webkit-search-cancel-button]:hidden")}
      />
    </div>
  );
}

export interface Option<T extends string> {
  value: T;
  label: string;
}

interface SelectProps<T extends string> {
  value: T;
  onChange: (value: T) => void;
  options: readonly Option<T>[];
  label: string;
  id?: string;
  /** Shown before the value inside the button: "Severity: all". */
  prefix?: string;
  className?: string;
  disabled?: boolean;
}

export function Select<T extends string>({
  value,
  onChange,
  options,
  label,
  prefix,
  className,
  disabled,
  ...ids
}: SelectProps<T>) {
  const shown = options.find((option) => option.value === value)?.label ?? value;
  return (
    <BaseSelect.Root<T> value={value} onValueChange={(next) => next !== null && onChange(next)} disabled={disabled}>
      <BaseSelect.Trigger
        {...ids}
        aria-label={`${label}: ${shown}`}
        className={classes(
          "inline-flex h-(--control) max-w-full items-center gap-2 rounded-m border border-line-strong/70 bg-raised px-2.5 text-sm text-text hover:border-line-strong hover:bg-hover",
          className,
        )}
      >
        {prefix && <span className="text-text-3">{prefix}</span>}
        <span className="min-w-0 flex-1 truncate text-left">{shown}</span>
        <ChevronDown aria-hidden size={14} className="shrink-0 text-text-3" />
      </BaseSelect.Trigger>
      <BaseSelect.Portal>
        <BaseSelect.Positioner sideOffset={6} className="z-50 outline-none" alignItemWithTrigger={false}>
          <BaseSelect.Popup className="pop max-h-[min(360px,var(--available-height))] min-w-[var(--anchor-width)] overflow-y-auto rounded-m border border-line-strong bg-raised p-1 text-sm shadow-float outline-none">
            {options.map((option) => (
              <BaseSelect.Item
                key={option.value}
                value={option.value}
                className="flex cursor-default select-none items-center gap-2.5 rounded-s px-2 py-1.5 text-text-2 outline-none data-[highlighted]:bg-hover data-[highlighted]:text-text"
              >
                <span className="flex size-4 items-center justify-center text-accent">
                  <BaseSelect.ItemIndicator>
                    <Check size={15} />
                  </BaseSelect.ItemIndicator>
                </span>
                <BaseSelect.ItemText>{option.label}</BaseSelect.ItemText>
              </BaseSelect.Item>
            ))}
          </BaseSelect.Popup>
        </BaseSelect.Positioner>
      </BaseSelect.Portal>
    </BaseSelect.Root>
  );
}

export function Switch({
  checked,
  onChange,
  label,
  disabled,
}: {
  checked: boolean;
  onChange: (checked: boolean) => void;
  label: string;
  disabled?: boolean;
}) {
  return (
    <BaseSwitch.Root
      checked={checked}
      onCheckedChange={onChange}
      disabled={disabled}
      aria-label={label}
      className="relative inline-flex h-[18px] w-8 shrink-0 items-center rounded-full border border-line-strong bg-sunken transition-colors data-[checked]:border-accent data-[checked]:bg-accent data-[disabled]:opacity-45"
    >
      <BaseSwitch.Thumb className="ml-0.5 block size-3 rounded-full bg-text-3 transition-transform data-[checked]:translate-x-3.5 data-[checked]:bg-accent-ink" />
    </BaseSwitch.Root>
  );
}

export function Checkbox({
  checked,
  partly,
  onChange,
  label,
  disabled,
}: {
  checked: boolean;
  partly?: boolean;
  onChange: (checked: boolean) => void;
  label: string;
  disabled?: boolean;
}) {
  return (
    <BaseCheckbox.Root
      disabled={disabled}
      checked={checked}
      indeterminate={partly ?? false}
      onCheckedChange={onChange}
      aria-label={label}
      className="flex size-4 shrink-0 items-center justify-center rounded-s border border-line-strong bg-field text-accent-ink data-[checked]:border-accent data-[checked]:bg-accent data-[indeterminate]:border-accent data-[indeterminate]:bg-accent data-[disabled]:opacity-45"
    >
      <BaseCheckbox.Indicator className="flex">
        {partly ? <Minus size={12} strokeWidth={3} /> : <Check size={12} strokeWidth={3} />}
      </BaseCheckbox.Indicator>
    </BaseCheckbox.Root>
  );
}
