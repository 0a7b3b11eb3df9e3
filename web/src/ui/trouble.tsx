import { CircleAlert } from "lucide-react";

/** Why a form was not taken, above it. */
export function Trouble({ children }: { children: string }) {
  return (
    <div role="alert" className="flex items-start gap-2 rounded-m bg-critical-soft px-3 py-2 text-sm text-critical">
      <CircleAlert aria-hidden size={16} className="mt-0.5 shrink-0" />
      <span>{children}</span>
    </div>
  );
}
