import { Link, type LinkProps } from "@tanstack/react-router";
import { LoaderCircle, type LucideIcon } from "lucide-react";
import type { ButtonHTMLAttributes, Ref } from "react";
import { classes } from "./classes";
import { Tip } from "./tooltip";

type Look = "primary" | "plain" | "quiet" | "danger";

const LOOKS: Record<Look, string> = {
  primary: "bg-accent text-accent-ink hover:bg-accent-strong font-semibold border border-transparent",
  plain: "bg-raised text-text border border-line-strong/70 hover:border-line-strong hover:bg-hover",
  quiet: "text-text-2 hover:text-text hover:bg-hover border border-transparent",
  danger: "bg-critical-soft text-critical border border-critical/30 hover:border-critical",
};

const BASE =
  "inline-flex items-center justify-center gap-2 rounded-m px-3 h-(--control) text-sm font-medium whitespace-nowrap " +
  "select-none transition-colors duration-100 disabled:opacity-45 aria-disabled:opacity-45 shrink-0 no-underline";

interface Common {
  look?: Look;
  icon?: LucideIcon;
}

interface ButtonProps extends Common, ButtonHTMLAttributes<HTMLButtonElement> {
  busy?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({ look = "plain", icon: Icon, busy, className, children, disabled, ...rest }: ButtonProps) {
  const Shown = busy ? LoaderCircle : Icon;
  return (
    <button
      type="button"
      {...rest}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={classes(BASE, LOOKS[look], className)}
    >
      {Shown && <Shown aria-hidden size={15} strokeWidth={2} className={busy ? "animate-spin" : undefined} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonProps, "children"> {
  /** What it does: the accessible name and the tooltip. */
  label: string;
  icon: LucideIcon;
  size?: number;
}

export function IconButton({ label, icon: Icon, look = "quiet", size = 16, className, ...rest }: IconButtonProps) {
  return (
    <Tip text={label}>
      <button
        type="button"
        aria-label={label}
        {...rest}
        className={classes(BASE, LOOKS[look], "w-(--control) !px-0", className)}
      >
        <Icon aria-hidden size={size} strokeWidth={2} />
      </button>
    </Tip>
  );
}

export function LinkButton({ look = "plain", icon: Icon, children, ...rest }: Common & LinkProps) {
  const { ...link } = rest as LinkProps;
  return (
    <Link {...link} className={classes(BASE, LOOKS[look])}>
      <>
        {Icon && <Icon aria-hidden size={15} strokeWidth={2} />}
        {children}
      </>
    </Link>
  );
}
