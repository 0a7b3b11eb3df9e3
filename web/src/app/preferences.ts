import { createContext, useContext, useMemo } from "react";
import { type Catalogue, LANGUAGES, type Language, type Translate, translator } from "@/i18n/text";

/** How one person wants the console; kept in the browser and, once signed in, with the account. */
export interface Preferences {
  theme: "system" | "dark" | "light";
  density: "comfortable" | "compact";
  language: Language;
  /** Times in the zone of the browser or in UTC. */
  zone: "local" | "utc";
}

/** Its name among what is kept. */
export const PREFERENCES = "preferences";

export function browserLanguage(): Language {
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

function one<T extends string>(value: unknown, of: readonly T[], otherwise: T): T {
  return of.find((known) => known === value) ?? otherwise;
}

/** Sound preferences from whatever was stored. */
export function readPreferences(stored: unknown): Preferences {
  const found = (typeof stored === "object" && stored !== null ? stored : {}) as Record<string, unknown>;
  return {
    theme: one(found.theme, ["system", "dark", "light"], "system"),
    density: one(found.density, ["comfortable", "compact"], "comfortable"),
    language: one(found.language, LANGUAGES, browserLanguage()),
    zone: one(found.zone, ["local", "utc"], "local"),
  };
}

/** The theme that holds, the system's taken into account. */
export function resolveTheme(theme: Preferences["theme"]): "dark" | "light" {
  if (theme !== "system") return theme;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function applyPreferences(preferences: Preferences): void {
  const root = document.documentElement;
  root.dataset.theme = resolveTheme(preferences.theme);
  root.dataset.density = preferences.density;
  root.lang = preferences.language;
}

export interface PreferencesContext {
  preferences: Preferences;
  setPreferences: (change: Partial<Preferences>) => void;
}

export const PreferencesContext = createContext<PreferencesContext>({
  preferences: { theme: "dark", density: "comfortable", language: "en", zone: "utc" },
  setPreferences: () => {},
});

export function usePreferences(): PreferencesContext {
  return useContext(PreferencesContext);
}

/** The texts of one catalogue in the language of the person. */
export function useText<C extends Catalogue>(texts: C): Translate<C> {
  const { language } = usePreferences().preferences;
  return useMemo(() => translator(texts, language), [texts, language]);
}
