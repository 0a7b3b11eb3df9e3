import { Tooltip } from "@base-ui/react/tooltip";
import type { ReactElement } from "react";

/** A short remark that appears on hover and focus. It must never hold what is found nowhere else. */
export function Tip({ text, children }: { text: string; children: ReactElement<Record<string, unknown>> }) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger render={children} />
      <Tooltip.Portal>
        <Tooltip.Positioner sideOffset={6} className="z-50">
          <Tooltip.Popup className="pop max-w-72 rounded-m border border-line-strong bg-raised px-2 py-1 text-xs text-text shadow-float">
            {text}
          </Tooltip.Popup>
        </Tooltip.Positioner>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}

export const TipProvider = Tooltip.Provider;
