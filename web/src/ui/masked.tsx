import { EyeOff } from "lucide-react";
import { useText } from "@/app/preferences";
import { catalogue } from "@/i18n/text";

const text = catalogue({
  masked: ["masked", "maskiert"],
  hint: [
    "Personal data: your role sees a pseudonym. The same one stands for the same person or host everywhere.",
    "Personenbezogen: Ihre Rolle sieht ein Pseudonym. Dasselbe steht überall für dieselbe Person oder denselben Host.",
  ],
});

const NAME = /^masked-[0-9a-f]{12}$/;
const MAC = /^fe:4d(:[0-9a-f]{2}){4}$/i;
const ADDRESS = /^[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}$/i;
/** First group of the addresses that stand for masked ones; the registry assigned them to nobody. */
const ADDRESS_MIN = 0x4000;
const ADDRESS_MAX = 0xbfff;

/** What is left of a value that the server put a pseudonym for, or null if it is the value itself. */
export function pseudonym(value: string): string | null {
  if (NAME.test(value)) return value.slice("masked-".length, "masked-".length + 4);
  if (MAC.test(value)) return value.slice(6, 11).replace(":", "");
  if (!ADDRESS.test(value)) return null;
  const first = Number.parseInt(value, 16);
  return first >= ADDRESS_MIN && first <= ADDRESS_MAX ? first.toString(16) : null;
}

/** A name or address; if it is a pseudonym, shown as one. */
export function Named({ value }: { value: string }) {
  const t = useText(text);
  const short = pseudonym(value);
  if (short === null) return <>{value}</>;
  return (
    <span title={`${t("hint")}\n${value}`} className="inline-flex items-center gap-1 italic text-text-3">
      <EyeOff aria-hidden size={12} className="shrink-0" />
      {t("masked")} {short}…
    </span>
  );
}
