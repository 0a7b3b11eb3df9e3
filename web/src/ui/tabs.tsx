import { type ReactNode, useEffect, useRef } from "react";
import { classes } from "./classes";

interface Tab<T extends string> {
  value: T;
  label: ReactNode;
  count?: number | undefined;
}

function useArrows<T extends string>(tabs: readonly Tab<T>[], value: T, onChange: (value: T) => void) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const index = (tabs.findIndex((tab) => tab.value === value) + step + tabs.length) % tabs.length;
    const next = tabs[index];
    if (!next) return;
    onChange(next.value);
    list.current?.querySelectorAll<HTMLElement>('[role="tab"]')[index]?.focus();
  };
  return { list, onKeyDown };
}

/** Tabs over a page's parts. The parts are drawn by the page; `aria-controls` is left out on purpose. */
export function Tabs<T extends string>({
  tabs,
  value,
  onChange,
  label,
}: {
  tabs: readonly Tab<T>[];
  value: T;
  onChange: (value: T) => void;
  label: string;
}) {
  const { list, onKeyDown } = useArrows(tabs, value, onChange);
  // On a telephone the chosen tab may be out of sight.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another tab is chosen by its value
  useEffect(() => {
    const box = list.current;
    const tab = box?.querySelector<HTMLElement>('[aria-selected="true"]');
    if (!box || !tab) return;
    const left = tab.offsetLeft - box.offsetLeft;
    if (left + tab.offsetWidth > box.scrollLeft + box.clientWidth) box.scrollLeft = left - 16;
  }, [value, list]);
  return (
    <div
      ref={list}
      role="tablist"
      aria-label={label}
      onKeyDown={onKeyDown}
      className="flex gap-5 overflow-x-auto border-b border-line px-4 md:mx-6 md:px-0 [scrollbar-width:none]"
    >
      {tabs.map((tab) => (
        <button
          key={tab.value}
          type="button"
          role="tab"
          aria-selected={tab.value === value}
          tabIndex={tab.value === value ? 0 : -1}
          onClick={() => onChange(tab.value)}
          className={classes(
            "-mb-px flex h-10 shrink-0 items-center gap-2 border-b-2 text-sm -outline-offset-2 font-medium transition-colors",
            tab.value === value ? "border-accent text-text" : "border-transparent text-text-3 hover:text-text",
          )}
        >
          {tab.label}
          {tab.count !== undefined && (
            <span className="num rounded-s bg-info-soft px-1 text-2xs text-info">{tab.count}</span>
          )}
        </button>
      ))}
    </div>
  );
}

/** A choice between a few, side by side. */
export function Segmented<T extends string>({
  tabs,
  value,
  onChange,
  label,
}: {
  tabs: readonly Tab<T>[];
  value: T;
  onChange: (value: T) => void;
  label: string;
}) {
  return (
    <fieldset
      aria-label={label}
      className="m-0 inline-flex max-w-full self-start overflow-x-auto rounded-m border border-line-strong/70 bg-sunken p-0.5 [scrollbar-width:none]"
    >
      {tabs.map((tab) => (
        <button
          key={tab.value}
          type="button"
          aria-pressed={tab.value === value}
          onClick={() => onChange(tab.value)}
          className={classes(
            "h-[calc(var(--control)-6px)] shrink-0 rounded-s px-2.5 text-xs font-medium transition-colors",
            tab.value === value
              ? "bg-raised text-text shadow-[0_0_0_1px_var(--line-strong)]"
              : "text-text-3 hover:text-text",
          )}
        >
          {tab.label}
        </button>
      ))}
    </fieldset>
  );
}
