/**
 * The console's languages. A text is a tuple with one string per language, so that a missing translation is a type
 * error: `catalogue({ greeting: ["Hello {name}", "Hallo {name}"] })`. Placeholders are checked too:
 * `{name}` takes a value, `{n|alert|alerts}` picks a form by the plural rules of the language.
 */
export const LANGUAGES = ["en", "de"] as const;
export type Language = (typeof LANGUAGES)[number];
export const LANGUAGE_NAMES: Record<Language, string> = { en: "English", de: "Deutsch" };

/** One string per language, in the order of LANGUAGES. */
export type Text = readonly [en: string, de: string];
export type Catalogue = Readonly<Record<string, Text>>;

type Name<S extends string> = S extends `${infer N}|${string}` ? N : S;
/** The names of the placeholders of a text. */
export type Placeholders<S extends string> = S extends `${string}{${infer P}}${infer Rest}`
  ? Name<P> | Placeholders<Rest>
  : never;

export type Values<T extends Text> = [Placeholders<T[0]>] extends [never]
  ? []
  : [values: Record<Placeholders<T[0]>, string | number>];

/** Looks a text of one catalogue up. */
export type Translate<C extends Catalogue> = <K extends keyof C & string>(key: K, ...values: Values<C[K]>) => string;

export function catalogue<const C extends Catalogue>(texts: C): C {
  return texts;
}

const RULES: Record<Language, Intl.PluralRules> = { en: new Intl.PluralRules("en"), de: new Intl.PluralRules("de") };
const NUMBERS: Record<Language, Intl.NumberFormat> = {
  en: new Intl.NumberFormat("en"),
  de: new Intl.NumberFormat("de"),
};

export function fill(language: Language, template: string, values: Record<string, string | number> = {}): string {
  return template.replace(/\{([^{}]+)\}/g, (whole, inside: string) => {
    const [name = "", one, other] = inside.split("|");
    const value = values[name];
    if (value === undefined) return whole;
    if (one !== undefined && other !== undefined) {
      return RULES[language].select(Number(value)) === "one" ? one : other;
    }
    return typeof value === "number" ? NUMBERS[language].format(value) : value;
  });
}

export function translator<C extends Catalogue>(texts: C, language: Language): Translate<C> {
  const index = LANGUAGES.indexOf(language);
  return (key, ...values) => {
    const text = texts[key];
    const template = (index === 1 ? text?.[1] : text?.[0]) ?? key;
    return fill(language, template, values[0]);
  };
}

/** The keys of a catalogue whose texts have no placeholders: those that may stand in tables. */
export type PlainKey<C extends Catalogue> = {
  [K in keyof C & string]: [Placeholders<C[K][0]>] extends [never] ? K : never;
}[keyof C & string];
