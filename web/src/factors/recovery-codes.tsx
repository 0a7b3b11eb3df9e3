import { Check, Copy, Download, Printer } from "lucide-react";
import { useState } from "react";
import { useText } from "@/app/preferences";
import { useFormat } from "@/i18n/format";
import { Button } from "@/ui/button";
import { text } from "./strings";

/** Recovery codes, shown once: to copy, download or print. */
export function RecoveryCodes({
  codes,
  account,
  onKept,
}: {
  codes: readonly string[];
  account: string;
  onKept: () => void;
}) {
  const t = useText(text);
  const format = useFormat();
  const [copied, setCopied] = useState(false);
  const head = t("codesFile", { name: account, place: location.host, date: format.date(Date.now()) });
  const file = `${head}\n\n${codes.join("\n")}\n`;
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file], { type: "text/plain" }));
    link.download = "guardian-recovery-codes.txt";
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <section aria-label={t("codesTitle")} className="flex flex-col gap-4">
      <p className="m-0 text-sm text-text-2">{t("codesHint")}</p>
      <div className="print-alone">
        <p className="m-0 hidden print:mb-4 print:block">{head}</p>
        <ol className="m-0 grid list-none grid-cols-1 gap-x-6 gap-y-1.5 rounded-m border border-line-strong bg-sunken p-4 min-[420px]:grid-cols-2">
          {codes.map((code) => (
            <li key={code} className="mono select-all text-sm">
              {code}
            </li>
          ))}
        </ol>
      </div>
      <div className="flex flex-wrap gap-2">
        <Button
          icon={copied ? Check : Copy}
          onClick={() => void navigator.clipboard.writeText(codes.join("\n")).then(() => setCopied(true))}
        >
          {t(copied ? "copied" : "copy")}
        </Button>
        <Button icon={Download} onClick={download}>
          {t("download")}
        </Button>
        <Button icon={Printer} onClick={() => print()}>
          {t("print")}
        </Button>
      </div>
      <Button look="primary" onClick={onKept} className="self-end">
        {t("kept")}
      </Button>
    </section>
  );
}
