import { CircleAlert, CircleCheck, X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { usePreferences, useText } from "@/app/preferences";
import { IconButton } from "./button";
import { classes } from "./classes";
import { text as problems, whyNot } from "./problem";
import { text } from "./strings";

interface Toast {
  id: number;
  /** What was done, or why something was not. */
  message: string | Error;
  tone: "good" | "bad";
  action?: { label: string; run: () => void } | undefined;
}

const SHOWN_MAX = 4;
const MILLISECONDS = 6_000;
let toasts: readonly Toast[] = [];
let last = 0;
const waiting = new Set<() => void>();

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const wake of waiting) wake();
}

function drop(id: number): void {
  set(toasts.filter((toast) => toast.id !== id));
}

function push(toast: Omit<Toast, "id">): void {
  last += 1;
  const id = last;
  set([...toasts, { ...toast, id }].slice(-SHOWN_MAX));
  setTimeout(() => drop(id), toast.action ? MILLISECONDS * 2 : MILLISECONDS);
}

/** Says that something was done, with a way back where there is one. */
export function done(message: string, action?: Toast["action"]): void {
  push({ message, tone: "good", action });
}

/** Says why something was not done. */
export function failed(error: unknown): void {
  push({ message: error instanceof Error ? error : String(error), tone: "bad" });
}

export function Toasts() {
  const t = useText(text);
  const p = useText(problems);
  const { language } = usePreferences().preferences;
  const shown = useSyncExternalStore(
    (wake) => {
      waiting.add(wake);
      return () => waiting.delete(wake);
    },
    () => toasts,
  );
  return (
    <div
      role="status"
      aria-live="polite"
      className="pointer-events-none fixed bottom-16 right-3 z-[60] flex w-[calc(100vw-24px)] max-w-sm flex-col gap-2 md:bottom-4 md:right-4"
    >
      {shown.map((toast) => (
        <div
          key={toast.id}
          className="pop pointer-events-auto flex items-start gap-2.5 rounded-m border border-line-strong bg-raised py-2 pl-3 pr-1.5 text-sm shadow-float"
        >
          <span className={classes("mt-1.5", toast.tone === "good" ? "text-good" : "text-critical")}>
            {toast.tone === "good" ? <CircleCheck aria-hidden size={16} /> : <CircleAlert aria-hidden size={16} />}
          </span>
          <span className="min-w-0 flex-1 whitespace-pre-wrap break-words py-1">
            {whyNot(toast.message, p, language)}
          </span>
          {toast.action && (
            <button
              type="button"
              className="rounded-s px-2 py-1 font-semibold text-accent hover:bg-hover"
              onClick={() => {
                toast.action?.run();
                drop(toast.id);
              }}
            >
              {toast.action.label}
            </button>
          )}
          <IconButton label={t("dismiss")} icon={X} size={14} onClick={() => drop(toast.id)} className="!h-7 !w-7" />
        </div>
      ))}
    </div>
  );
}
