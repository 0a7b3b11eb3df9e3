import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { Button } from "./button";
import { text } from "./strings";

/** Something that is shown once, to be copied. */
export function Secret({ value, label }: { value: string; label: string }) {
  const t = useText(text);
  const [copied, setCopied] = useState(false);
  return (
    <div className="flex items-stretch gap-2">
      <output
        aria-label={label}
        className="mono min-w-0 flex-1 select-all whitespace-pre-wrap break-all rounded-m border border-line-strong bg-sunken px-3 py-2 text-sm"
      >
        {value}
      </output>
      <Button
        icon={copied ? Check : Copy}
        onClick={() => {
          void navigator.clipboard.writeText(value).then(() => setCopied(true));
        }}
      >
        {t(copied ? "copied" : "copy")}
      </Button>
    </div>
  );
}
