import { useText } from "@/app/preferences";
import { LANGUAGE_NAMES, LANGUAGES } from "@/i18n/text";
import { Field, Select } from "@/ui/form";
import { text } from "./strings";

/** The language that texts are sent in. */
export function LanguageField({ value, onChange }: { value: string; onChange: (language: string) => void }) {
  const t = useText(text);
  return (
    <Field label={t("language")}>
      {(ids) => (
        <Select<string>
          {...ids}
          label={t("language")}
          value={value}
          onChange={onChange}
          options={LANGUAGES.map((one) => ({ value: one, label: LANGUAGE_NAMES[one] }))}
          className="w-full"
        />
      )}
    </Field>
  );
}
