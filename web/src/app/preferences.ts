import { createContext, useContext, useMemo } from "react";
import { type Catalogue, type Language, type Translate, translator } from "@/i18n/text";

/** How one person wants the console; kept in the browser and, once signed in, with the account. */
export interface Preferences {
  theme: "system" | "dark" | "light";
  density: "comfortable" | "compact";
  language: Language;
  /** Times in the zone of the browser or in UTC. */
  zone: "local" | "utc";
}

const KEY = "guardian.preferences";

export function browserLanguage(): Language {
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

export function loadPreferences(): Preferences {
  const defaults: Preferences = { theme: "system", density: "comfortable", language: browserLanguage(), zone: "local" };
  try {
    return { ...defaults, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
  } catch {
    return defaults;
  }
}

export function storePreferences(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // A browser that stores nothing still shows the console; the choice then lasts until the next load.
  }
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
